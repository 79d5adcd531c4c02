// The x86-64 level of the running processor: 4 (AVX-512), 3 (AVX2, FMA, BMI2) or 1. Compiled for the
// baseline.
#pragma once

namespace cvxrelu {

inline int cpu_level() {
#if defined(__x86_64__) && (defined(__GNUC__) || defined(__clang__))
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
                    __builtin_cpu_supports("bmi2");
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
                      __builtin_cpu_supports("avx512vl");
  if (avx2 && avx512) return 4;
  if (avx2) return 3;
#endif
  return 1;
}

}  // namespace cvxrelu
