#pragma once

#include "clock.h"
#include "io.h"
