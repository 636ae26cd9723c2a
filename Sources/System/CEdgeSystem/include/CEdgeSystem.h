#pragma once

#include "clock.h"
#include "io.h"
#include "edge_poll.h"
