#pragma once

#include "bus.h"
#include "clock.h"
#include "condition.h"
#include "io.h"
#include "edge_poll.h"
#include "scheduling.h"
#include "service.h"
