#include "CTensorFlowLite.h"
