#include <arm_mve.h>
