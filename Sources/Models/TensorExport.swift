import Foundation
import Kernels
import ModelFormats

extension TensorSource {
  /// The elements of a tensor as float32, bit for bit what its type defines, in row-major order.
  ///
  /// - Throws: `FormatError`: `missing`, or `badType` for a type that is neither float nor one of
  ///   the quantised ones that can be computed with.
  package func floats(_ name: String) throws -> [Float] {
    let tensor = try tensor(name)
    guard let type = WeightType(tensor.type) else {
      throw FormatError(
        .badType, file: tensor.file ?? self.name, offset: tensor.offset,
        reason: "tensor \(quoted(name)) has type \(tensor.type.rawValue), "
          + "which is not turned into float32")
    }
    let count = ElementType.elementCount(shape: tensor.shape) ?? 0
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: tensor.byteCount, alignment: 64)
    defer { bytes.deallocate() }
    try read(name, offset: 0, into: bytes)
    release(name, upTo: tensor.byteCount)
    return try [Float](unsafeUninitializedCapacity: count) { values, initialized in
      let target = UnsafeMutableBufferPointer(rebasing: values[..<count])
      try type.dequantise(UnsafeRawBufferPointer(bytes), into: target)
      initialized = count
    }
  }
}

/// Opens the tensors of a GGUF file or Hugging Face folder, whatever model they are of.
///
/// - Throws: `FormatError`.
package func openTensors(path: String) throws -> any TensorSource {
  let url = URL(fileURLWithPath: path)
  var isFolder: ObjCBool = false
  guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
    throw FormatError(.unreadable, file: path, reason: "there is no such file or folder")
  }
  return isFolder.boolValue
    ? HuggingFaceTensorSource(try HuggingFaceFolder(url))
    : GGUFTensorSource(try GGUFParts(contentsOf: url))
}
