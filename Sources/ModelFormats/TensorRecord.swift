/// A tensor in a file: what it is called, what it holds and where it lies.
package struct TensorRecord: Hashable, Sendable {
  /// The name in the file.
  package let name: String
  /// How the elements are encoded.
  package let type: ElementType
  /// Outermost dimension first; a matrix is `[rows, columns]`.
  package let shape: [Int]
  /// The tensor's bytes, as offsets from the start of the file.
  package let range: Range<Int>

  package init(name: String, type: ElementType, shape: [Int], range: Range<Int>) {
    self.name = name
    self.type = type
    self.shape = shape
    self.range = range
  }
}
