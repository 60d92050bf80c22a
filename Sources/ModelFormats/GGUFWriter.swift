import Foundation

/// Writes a GGUF file (version 3; https://github.com/ggml-org/ggml/blob/master/docs/gguf.md):
/// metadata alone, as a tokenizer is kept without its model, or with float32 tensors.
package enum GGUFWriter {
  /// A tensor of float32 values.
  package struct Tensor {
    package let name: String
    /// Rows after one another.
    package let rows: Int
    package let columns: Int
    package let values: [Float]

    package init(name: String, rows: Int, columns: Int, values: [Float]) {
      precondition(values.count == rows * columns)
      (self.name, self.rows, self.columns, self.values) = (name, rows, columns, values)
    }
  }

  /// Bytes that a tensor's place is a multiple of, unless the metadata say otherwise.
  private static let alignment = 32

  /// Value types of the format's specification.
  private enum ValueType: UInt32 {
    case float32 = 6
    case bool = 7
    case string = 8
    case array = 9
    case uint64 = 10
    case int64 = 11
    case float64 = 12
  }

  /// The file's bytes, the same for the same content: keys are sorted.
  ///
  /// - Parameter single: keys whose numbers are written as float32, as readers want them.
  package static func data(
    _ metadata: ExactDictionary<GGUFValue>, single: Set<String> = [], tensors: [Tensor] = []
  ) -> Data {
    var data = Data("GGUF".utf8)
    append(UInt32(3), to: &data)
    append(UInt64(tensors.count), to: &data)
    append(UInt64(metadata.count), to: &data)
    for (key, value) in metadata {
      append(key, to: &data)
      if single.contains(key), case .double(let number) = value {
        append(ValueType.float32.rawValue, to: &data)
        append(Float(number).bitPattern, to: &data)
      } else {
        append(type(of: value).rawValue, to: &data)
        append(value, to: &data)
      }
    }
    guard !tensors.isEmpty else { return data }
    var offset = 0
    for tensor in tensors {
      append(tensor.name, to: &data)
      append(UInt32(2), to: &data)
      // The dimension whose neighbours are neighbours in memory comes first.
      append(UInt64(tensor.columns), to: &data)
      append(UInt64(tensor.rows), to: &data)
      append(UInt32(0), to: &data)  // GGML_TYPE_F32
      append(UInt64(offset), to: &data)
      offset = aligned(offset + 4 * tensor.values.count)
    }
    pad(&data)
    for tensor in tensors {
      tensor.values.withUnsafeBytes { data.append(contentsOf: $0) }
      pad(&data)
    }
    return data
  }

  private static func aligned(_ offset: Int) -> Int {
    (offset + alignment - 1) / alignment * alignment
  }

  private static func pad(_ data: inout Data) {
    data.append(Data(count: aligned(data.count) - data.count))
  }

  private static func type(of value: GGUFValue) -> ValueType {
    switch value {
    case .integer: .int64
    case .unsigned: .uint64
    case .double: .float64
    case .bool: .bool
    case .string: .string
    case .integers, .doubles, .bools, .strings, .array: .array
    }
  }

  private static func append(_ value: GGUFValue, to data: inout Data) {
    switch value {
    case .integer(let number): append(number, to: &data)
    case .unsigned(let number): append(number, to: &data)
    case .double(let number): append(number.bitPattern, to: &data)
    case .bool(let flag): data.append(flag ? 1 : 0)
    case .string(let text): append(text, to: &data)
    case .integers(let numbers):
      begin(.int64, numbers.count, &data)
      for number in numbers { append(number, to: &data) }
    case .doubles(let numbers):
      begin(.float64, numbers.count, &data)
      for number in numbers { append(number.bitPattern, to: &data) }
    case .bools(let flags):
      begin(.bool, flags.count, &data)
      for flag in flags { data.append(flag ? 1 : 0) }
    case .strings(let texts):
      begin(.string, texts.count, &data)
      for text in texts { append(text, to: &data) }
    case .array(let values):
      begin(values.first.map(type(of:)) ?? .int64, values.count, &data)
      for value in values { append(value, to: &data) }
    }
  }

  private static func begin(_ type: ValueType, _ count: Int, _ data: inout Data) {
    append(type.rawValue, to: &data)
    append(UInt64(count), to: &data)
  }

  private static func append(_ text: String, to data: inout Data) {
    append(UInt64(text.utf8.count), to: &data)
    data.append(contentsOf: text.utf8)
  }

  private static func append(_ number: some FixedWidthInteger, to data: inout Data) {
    withUnsafeBytes(of: number.littleEndian) { data.append(contentsOf: $0) }
  }
}
