#include "CEdgeSystem.h"
