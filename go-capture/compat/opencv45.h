// SPDX-License-Identifier: Apache-2.0
// GoCV 0.43 wraps three functions that came with OpenCV 4.6. The daemon calls none of them; with an older OpenCV
// (Ubuntu 22.04 has 4.5.4) GoCV compiles with these in their place. scripts/opencv_flags.sh decides.
#ifdef __cplusplus
#include <opencv2/core.hpp>
#include <vector>

namespace cv {

inline void reduceArgMax(InputArray, OutputArray, int, bool) { CV_Error(Error::StsNotImplemented, "needs OpenCV 4.6"); }
inline void reduceArgMin(InputArray, OutputArray, int, bool) { CV_Error(Error::StsNotImplemented, "needs OpenCV 4.6"); }
inline void transposeND(InputArray, const std::vector<int> &, OutputArray) {
  CV_Error(Error::StsNotImplemented, "needs OpenCV 4.6");
}

}  // namespace cv
#endif
