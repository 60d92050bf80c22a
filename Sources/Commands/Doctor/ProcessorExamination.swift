import Foundation
import Kernels

/// Whether this machine's processor and memory compute what they should.
struct ProcessorExamination {
  let threads: Int
  /// How long processor and memory are kept busy, about.
  let seconds: Double
  let environment: [String: String]

  func speed() -> Finding {
    do {
      let speed = try MachineSpeed.measure(
        Compute(kernels: KernelSet.best(environment: environment), threads: threads))
      return Finding(
        subject: "processor", outcome: speed.variant.lacksExtensions ? .note : .good,
        detail: speed.description)
    } catch {
      return .bad("processor", "\(error)")
    }
  }

  /// Every variant once, then the one that will be used for a while, on all threads.
  ///
  /// - Parameter progress: told the share that is done.
  func kernels(progress: (Double) -> Void) -> Finding {
    do {
      let best = try KernelSet.best(environment: environment)
      for variant in KernelSet.available where variant != .scalarSoftware {
        var test = try KernelSelfTest(
          Compute(kernels: KernelSet(variant), threads: threads), seed: 1)
        try test.run()
      }
      var test = try KernelSelfTest(Compute(kernels: best, threads: threads), seed: 2)
      let (start, clock) = (ContinuousClock.now, ContinuousClock())
      var (runs, passed) = (0, 0.0)
      repeat {
        try test.run()
        runs += 1
        passed = (clock.now - start) / .seconds(1)
        progress(passed / seconds)
      } while passed < seconds
      let names = KernelSet.available.map(\.rawValue).joined(separator: ", ")
      return .good(
        "kernels",
        "\(names): all bits are those of the reference (\(best.variant.rawValue): \(runs) rounds)")
    } catch let difference as KernelSelfTest.Difference {
      return .bad("kernels", "\(difference). \(Self.advice)")
    } catch {
      return .bad("kernels", "\(error)")
    }
  }

  /// A product against one of other people's making: by rounding alone may they differ.
  func product() -> Finding {
    let (rows, inputs, outputs) = (33, 576, 192)
    func value(_ index: Int, _ step: Int) -> Float { Float((index * step) % 2003) / 1001 - 1 }
    let x = (0..<rows * inputs).map { value($0, 7919) }
    let w = (0..<outputs * inputs).map { value($0, 104_729) }
    do {
      let weights = try w.withUnsafeBytes {
        try PackedWeights(type: .f32, outputs: outputs, inputs: inputs, rows: $0)
      }
      let compute = try Compute(kernels: KernelSet.best(environment: environment), threads: threads)
      let result = try Tensor(rows: rows, columns: outputs)
      let input = try Tensor(
        (0..<rows).map { Array(x[$0 * inputs..<($0 + 1) * inputs]) })
      try compute.matmul(input, weights, into: result)
      let library = OpenBLAS()
      let other = library?.product(x: x, w: w, rows: rows, inputs: inputs, outputs: outputs)
      var worst: Float = 0
      for row in 0..<rows {
        for output in 0..<outputs {
          let truth =
            other?[row * outputs + output]
            ?? Float((0..<inputs).reduce(0.0) {
              $0 + Double(x[row * inputs + $1]) * Double(w[output * inputs + $1])
            })
          let difference = abs(result[row][output] - truth)
          // NaN too is a difference.
          worst = difference <= worst ? worst : difference
        }
      }
      let against = library == nil ? "float64 (OpenBLAS is not installed)" : "OpenBLAS"
      // Sums of 576 products up to 1, in another order.
      guard worst < 1e-3 else {
        return .bad("arithmetic", "a product differs by \(worst) from \(against). \(Self.advice)")
      }
      return .good("arithmetic", "products agree with \(against) within \(worst)")
    } catch {
      return .bad("arithmetic", "\(error)")
    }
  }

  /// Writes patterns and reads them back later.
  ///
  /// - Parameters:
  ///   - bytes: of memory that are tried.
  ///   - progress: told the share that is done.
  func memory(bytes: Int, progress: (Double) -> Void) -> Finding {
    let count = max(1, bytes / 8)
    guard let base = malloc(count * 8)?.bindMemory(to: UInt64.self, capacity: count) else {
      return .note("memory", "\(Spelled.bytes(bytes)) were not to be had for a test")
    }
    defer { free(base) }
    let words = Words(base: base)
    let (chunk, passes) = (1 << 17, [0x9E37_79B9_7F4A_7C15, 0x5555_5555_5555_5555] as [UInt64])
    let chunks = (count + chunk - 1) / chunk
    for (pass, pattern) in passes.enumerated() {
      DispatchQueue.concurrentPerform(iterations: chunks) { part in
        for at in part * chunk..<min(count, (part + 1) * chunk) {
          words.base[at] = (UInt64(at) &* 0xD134_2543_DE82_EF95) ^ pattern
        }
      }
      for part in 0..<chunks {
        for at in part * chunk..<min(count, (part + 1) * chunk)
        where words.base[at] != (UInt64(at) &* 0xD134_2543_DE82_EF95) ^ pattern {
          return .bad("memory", "a word that was written reads otherwise. \(Self.advice)")
        }
        progress((Double(pass) + Double(part + 1) / Double(chunks)) / Double(passes.count))
      }
    }
    return .good("memory", "\(Spelled.bytes(count * 8)) written and read back, twice")
  }

  private static let advice =
    "Do not lend this machine before its memory, cooling and clock rates are checked"
}

/// Memory that several threads write, each a part of its own.
///
/// `@unchecked Sendable`: the parts are disjoint, and nobody reads before all have ended.
private struct Words: @unchecked Sendable {
  let base: UnsafeMutablePointer<UInt64>
}
