import ArgumentParser
import Execution
import Foundation
import Kernels
import MachineLimits
import Models

/// How much of this machine a local command uses. It decides speed, never what comes out.
struct ComputeOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Threads to compute with; when left out, every processor that this process may use.",
      discussion: """
        TALLY_CPU=scalar|portable|avx2|avx512 forces a kernel variant. The answer is the same to \
        the bit.
        """))
  var threads: Int?

  func validate() throws {
    if let threads, !(1...1024).contains(threads) {
      throw ValidationError("--threads takes 1 to 1024")
    }
  }

  var threadCount: Int { threads ?? MachineLimits().threads }

  /// Kernels and threads as the options say.
  func makeCompute() throws -> Compute {
    let environment = ProcessInfo.processInfo.environment
    return Compute(
      kernels: try KernelSet.best(environment: environment),
      pool: try ThreadPool(threads: threadCount))
  }

  /// What runs units, as the options say; of threads, each unit names `threadCount`.
  func makeEngine() throws -> CPUEngine {
    try CPUEngine(environment: ProcessInfo.processInfo.environment)
  }
}

extension RoundedFormat: ExpressibleByArgument {}

/// How keys and values of earlier tokens are stored.
enum CacheOption: String, ExpressibleByArgument, CaseIterable {
  case f16
  case f32

  var element: CacheElement {
    switch self {
    case .f16: .f16
    case .f32: .f32
    }
  }
}
