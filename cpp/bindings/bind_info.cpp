#include "border.hpp"
#include "cvxrelu/base/parallel.hpp"

namespace cvxrelu {

void bind_info(py::module_& m) {
  m.def("default_threads", &default_threads, "Threads used when none are asked for.");
  m.def(
      "build_info",
      [] {
        py::dict info;
        info["cpu_level"] = CPU_LEVEL;
        info["variant"] = CPU_VARIANT;
        info["compiler"] = __VERSION__;
        info["eigen"] = std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
                        std::to_string(EIGEN_MINOR_VERSION);
#ifdef _OPENMP
        info["openmp"] = _OPENMP;
#else
        info["openmp"] = 0;
#endif
#ifdef NDEBUG
        info["assertions"] = false;
#else
        info["assertions"] = true;
#endif
        return info;
      },
      "How this module was compiled.");
}

}  // namespace cvxrelu
