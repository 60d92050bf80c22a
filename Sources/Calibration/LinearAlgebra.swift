import Foundation

/// The few routines of OpenBLAS that calibration needs, found when it is asked for: no other
/// command pays for the library, or needs it.
///
/// `@unchecked Sendable`: pointers to functions that may be called from any thread.
package struct LinearAlgebra: @unchecked Sendable {
  // https://www.netlib.org/blas/#_cblas
  private typealias SymmetricProduct = @convention(c) (
    Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>?, Int32, Float,
    UnsafeMutablePointer<Float>?, Int32
  ) -> Void
  private typealias Product = @convention(c) (
    Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>?, Int32,
    UnsafePointer<Float>?, Int32, Float, UnsafeMutablePointer<Float>?, Int32
  ) -> Void
  // https://www.netlib.org/lapack/explore-html: dpotrf and dpotri, with the length of `uplo` last.
  private typealias Factorisation = @convention(c) (
    UnsafePointer<CChar>, UnsafePointer<Int32>, UnsafeMutablePointer<Double>?,
    UnsafePointer<Int32>, UnsafeMutablePointer<Int32>, Int
  ) -> Void

  private let symmetricProduct: SymmetricProduct
  private let product: Product
  private let factorise: Factorisation
  private let invert: Factorisation

  private enum Constant {
    static let rowMajor: Int32 = 101
    static let plain: Int32 = 111
    static let transposed: Int32 = 112
    static let upper: Int32 = 121
  }

  /// - Parameters:
  ///   - names: of the library, the first that can be loaded.
  ///   - threads: of its own.
  /// - Throws: `CalibrationError.noLibrary`.
  package init(
    names: [String] = ["libopenblas.so.0", "libopenblas.so"], threads: Int
  ) throws {
    guard let library = names.lazy.compactMap({ dlopen($0, RTLD_NOW | RTLD_LOCAL) }).first else {
      throw CalibrationError.noLibrary
    }
    func find<Function>(_ name: String, as type: Function.Type) throws -> Function {
      guard let symbol = dlsym(library, name) else { throw CalibrationError.noLibrary }
      return unsafeBitCast(symbol, to: type)
    }
    symmetricProduct = try find("cblas_ssyrk", as: SymmetricProduct.self)
    product = try find("cblas_sgemm", as: Product.self)
    factorise = try find("dpotrf_", as: Factorisation.self)
    invert = try find("dpotri_", as: Factorisation.self)
    typealias SetThreads = @convention(c) (Int32) -> Void
    try find("openblas_set_num_threads", as: SetThreads.self)(Int32(clamping: threads))
  }

  /// The upper triangle of sum [n, n] += transpose(x) x.
  ///
  /// - Parameters:
  ///   - x: [rows, n], rows `stride` apart.
  func addSquare(
    of x: UnsafePointer<Float>, rows: Int, stride: Int, n: Int, to sum: UnsafeMutablePointer<Float>
  ) {
    symmetricProduct(
      Constant.rowMajor, Constant.upper, Constant.transposed, Int32(n), Int32(rows), 1, x,
      Int32(stride), 1, sum, Int32(n))
  }

  /// c [m, n] -= a [m, k] b [k, n], each with its stride.
  func subtractProduct(
    _ a: (UnsafePointer<Float>, stride: Int), _ b: (UnsafePointer<Float>, stride: Int),
    from c: (UnsafeMutablePointer<Float>, stride: Int), m: Int, n: Int, k: Int
  ) {
    product(
      Constant.rowMajor, Constant.plain, Constant.plain, Int32(m), Int32(n), Int32(k), -1, a.0,
      Int32(a.stride), b.0, Int32(b.stride), 1, c.0, Int32(c.stride))
  }

  /// Makes the upper triangle of a positive definite matrix [n, n] the upper U with
  /// transpose(U) U = its inverse; false when it is not positive definite.
  func factoriseInverse(_ matrix: UnsafeMutablePointer<Double>, n: Int) -> Bool {
    // What is upper by rows is lower by LAPACK's columns.
    var (triangle, size, info) = (CChar(UInt8(ascii: "L")), Int32(n), Int32(0))
    for routine in [factorise, invert, factorise] {
      routine(&triangle, &size, matrix, &size, &info, 1)
      guard info == 0 else { return false }
    }
    return true
  }
}

/// Why weights cannot be calibrated.
package enum CalibrationError: Error, Hashable, CustomStringConvertible {
  case noLibrary
  case nonFinite(layer: Int)
  case notPositive(tensor: String)
  case fewTokens(Int, needed: Int)
  /// Of sums over the inputs of a layer.
  case outOfMemory(layer: Int, neededBytes: Int, availableBytes: Int)

  package var description: String {
    switch self {
    case .noLibrary:
      "calibration needs OpenBLAS, which is not installed: apt install libopenblas0-pthread"
    case .nonFinite(let layer):
      "values of layer \(layer) became infinite or undefined on the calibration text"
    case .notPositive(let tensor):
      "the inputs of \(tensor) on the calibration text cannot be used: their products have no "
        + "Cholesky factor"
    case .fewTokens(let count, let needed):
      "the calibration text has \(count) tokens; \(needed) or more are needed"
    case .outOfMemory(let layer, let needed, let available):
      "calibrating layer \(layer) needs another \(needed / 1_000_000 + 1) MB of memory or more, "
        + "and \(available / 1_000_000) MB are available here: round without --calibrate"
    }
  }
}
