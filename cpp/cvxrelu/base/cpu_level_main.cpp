// Run by CMake at configure time; the exit status is the level.
#include "cvxrelu/base/cpu_level.hpp"

int main() { return cvxrelu::cpu_level(); }
