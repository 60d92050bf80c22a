import Glibc

/// OpenBLAS's product of float32 matrices, where this machine has the library: a second opinion by
/// other people. Loaded when it is asked for, never needed.
struct OpenBLAS {
  private typealias Product =
    @convention(c) (
      Int32, Int32, Int32, Int32, Int32, Int32, Float, UnsafePointer<Float>, Int32,
      UnsafePointer<Float>, Int32, Float, UnsafeMutablePointer<Float>, Int32
    ) -> Void

  private let product: Product

  /// Nil where there is no such library.
  init?() {
    guard let library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL),
      let symbol = dlsym(library, "cblas_sgemm")
    else { return nil }
    product = unsafeBitCast(symbol, to: Product.self)
  }

  /// x[rows, inputs] times the transpose of w[outputs, inputs], all row after row.
  func product(x: [Float], w: [Float], rows: Int, inputs: Int, outputs: Int) -> [Float] {
    precondition(x.count == rows * inputs && w.count == outputs * inputs)
    let (rowMajor, plain, transposed): (Int32, Int32, Int32) = (101, 111, 112)  // cblas.h
    var y = [Float](repeating: 0, count: rows * outputs)
    product(
      rowMajor, plain, transposed, Int32(rows), Int32(outputs), Int32(inputs), 1, x, Int32(inputs),
      w, Int32(inputs), 0, &y, Int32(outputs))
    return y
  }
}
