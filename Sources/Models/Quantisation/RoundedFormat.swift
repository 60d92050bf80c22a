import Kernels
import ModelFormats

/// Block formats of GGUF (`ggml-common.h`) that float weights can be rounded to.
package enum RoundedFormat: String, CaseIterable, Sendable {
  case q8_0
  case q6K = "q6_k"
  case q5K = "q5_k"
  case q5_1
  case q5_0
  case q4K = "q4_k"
  case q4_1
  case q4_0

  /// How the kernels read it.
  package var type: WeightType {
    switch self {
    case .q8_0: .q8_0
    case .q6K: .q6K
    case .q5K: .q5K
    case .q5_1: .q5_1
    case .q5_0: .q5_0
    case .q4K: .q4K
    case .q4_1: .q4_1
    case .q4_0: .q4_0
    }
  }

  /// What rows are rounded to that are no multiple of its block: the format that comes nearest.
  var fallback: RoundedFormat? {
    switch self {
    case .q4K: .q4_1
    case .q5K: .q5_1
    case .q6K, .q5_1, .q5_0, .q4_1, .q4_0: .q8_0
    case .q8_0: nil
    }
  }

  /// How files store it.
  var element: ElementType {
    switch self {
    case .q8_0: .q8_0
    case .q6K: .q6K
    case .q5K: .q5K
    case .q5_1: .q5_1
    case .q5_0: .q5_0
    case .q4K: .q4K
    case .q4_1: .q4_1
    case .q4_0: .q4_0
    }
  }
}
