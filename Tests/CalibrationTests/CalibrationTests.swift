import Calibration
import Foundation
import Kernels
import ModelFormats
import Models
import TestSupport
import Testing

/// Rounding that makes up for what it loses on a text.
@Suite struct CalibrationTests {
  private static let seed: UInt64 = 20_261_128

  /// Inputs that hang together, as those of a trained model do: a few directions, and noise.
  private static func inputs(rows: Int, columns: Int) throws -> Tensor {
    var random = SeededRandom(seed: seed)
    func values(_ count: Int) -> [Float] {
      (0..<count).map { _ in Float.random(in: -1...1, using: &random) }
    }
    let directions = (0..<8).map { _ in values(columns) }
    return try Tensor(
      (0..<rows).map { _ in
        let (factors, noise) = (values(8), values(columns))
        return (0..<columns).map { column in
          zip(factors, directions).reduce(0.3 * noise[column]) { $0 + $1.0 * $1.1[column] }
        }
      })
  }

  private static func weights(rows: Int, columns: Int) -> [Float] {
    var random = SeededRandom(seed: seed + 1)
    return (0..<rows * columns).map { _ in
      (0..<4).reduce(Float(0)) { sum, _ in sum + Float.random(in: -0.05...0.05, using: &random) }
    }
  }

  private static let site = InputSite(
    name: "w", siblings: 1, matrices: [.init(tensor: "w", rows: 0..<32)])

  private func calibrated(_ weights: [Float], _ x: Tensor, _ format: RoundedFormat) throws
    -> [UInt8]
  {
    let algebra = try LinearAlgebra(threads: 1)
    let statistics = InputStatistics(columns: ["w": x.columns], algebra)
    // In two steps, as texts come.
    statistics.observe(x, rows: 0..<x.rows / 3, into: Self.site)
    statistics.observe(x, rows: x.rows / 3..<x.rows, into: Self.site)
    let sum = try #require(statistics.sumOfMatrix[.init(tensor: "w", rows: 0..<32)])
    #expect(sum.rows == x.rows)
    return try ErrorCompensation(sum, of: "w", algebra).rounded(weights, to: format)
  }

  private func plain(_ weights: [Float], _ columns: Int, _ format: RoundedFormat) -> [UInt8] {
    weights.withUnsafeBufferPointer { weights in
      stride(from: 0, to: weights.count, by: columns).flatMap {
        BlockQuantiser(format).row(UnsafeBufferPointer(rebasing: weights[$0..<$0 + columns]))
      }
    }
  }

  private func values(_ bytes: [UInt8], _ columns: Int, _ format: RoundedFormat) throws -> [Float] {
    let rowBytes = try format.type.rowBytes(columns: columns)
    return try stride(from: 0, to: bytes.count, by: rowBytes).flatMap { start in
      var row = [Float](repeating: .nan, count: columns)
      try bytes[start..<start + rowBytes].withUnsafeBytes { bytes in
        try row.withUnsafeMutableBufferPointer { try format.type.dequantise(bytes, into: $0) }
      }
      return row
    }
  }

  /// What the products with the inputs lose: the sum of squares.
  private func loss(_ weights: [Float], _ bytes: [UInt8], _ x: Tensor, _ format: RoundedFormat)
    throws -> Double
  {
    let rounded = try values(bytes, x.columns, format)
    let errors = zip(weights, rounded).map { $0 - $1 }
    var total = 0.0
    for row in 0..<x.rows {
      for start in stride(from: 0, to: errors.count, by: x.columns) {
        let product = zip(x[row], errors[start..<start + x.columns]).reduce(Float(0)) {
          $0 + $1.0 * $1.1
        }
        total += Double(product * product)
      }
    }
    return total
  }

  @Test(arguments: RoundedFormat.allCases)
  func theProductsLoseFarLess(_ format: RoundedFormat) throws {
    let x = try Self.inputs(rows: 600, columns: 512)
    let weights = Self.weights(rows: 32, columns: 512)
    let before = try loss(weights, plain(weights, 512, format), x, format)
    let after = try loss(weights, calibrated(weights, x, format), x, format)
    #expect(after < 0.6 * before, "\(format) \(after / before), seed \(Self.seed)")
  }

  /// Inputs that have nothing to do with each other leave nothing to make up for.
  @Test(arguments: RoundedFormat.allCases)
  func independentInputsGivePlainRounding(_ format: RoundedFormat) throws {
    let x = try Tensor((0..<256).map { row in (0..<256).map { $0 == row ? 2 : 0 } })
    let weights = Self.weights(rows: 32, columns: 256)
    #expect(try calibrated(weights, x, format) == plain(weights, 256, format))
  }

  @Test func inputsWithoutAnySizeAreRefused() throws {
    for value in [Float(0), .infinity, .nan] {
      let x = try Tensor(Array(repeating: Array(repeating: value, count: 64), count: 8))
      #expect(throws: CalibrationError.notPositive(tensor: "w")) {
        try calibrated(Self.weights(rows: 32, columns: 64), x, .q8_0)
      }
    }
  }

  @Test func aMissingLibraryIsNamed() throws {
    let error = #expect(throws: CalibrationError.self) {
      try LinearAlgebra(names: ["libnone-such.so.0"], threads: 1)
    }
    #expect(error == .noLibrary && "\(CalibrationError.noLibrary)".contains("libopenblas0-pthread"))
  }

  @Test func windowsAreSpreadOverTheText() throws {
    let tokens = (0..<1000).map { Int32($0) }
    let windows = try Calibration.windows(of: tokens, beginning: 7, context: 100, limit: 350)
    #expect(windows.map { $0[1] } == [1, 301, 601])
    #expect(windows.allSatisfy { $0.count == 100 && $0[0] == 7 })
    #expect(
      try Calibration.windows(of: tokens, beginning: nil, context: 100, limit: 9999).flatMap { $0 }
        == tokens)
    #expect(throws: CalibrationError.fewTokens(1000, needed: 1001)) {
      try Calibration.windows(of: tokens, beginning: nil, context: 1001, limit: 9999)
    }
  }
}
