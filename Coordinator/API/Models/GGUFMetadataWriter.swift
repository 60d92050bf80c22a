import Foundation
import ModelFormats

/// Writes a GGUF file (version 3) that holds metadata and no tensors: how a tokenizer is kept
/// without its model.
enum GGUFMetadataWriter {
  /// Value types of the format's specification.
  private enum ValueType: UInt32 {
    case bool = 7
    case string = 8
    case array = 9
    case uint64 = 10
    case int64 = 11
    case float64 = 12
  }

  /// The file's bytes, the same for the same metadata: keys are sorted.
  static func data(_ metadata: [String: GGUFValue]) -> Data {
    var data = Data("GGUF".utf8)
    append(UInt32(3), to: &data)
    append(UInt64(0), to: &data)
    append(UInt64(metadata.count), to: &data)
    for (key, value) in metadata.sorted(by: { $0.key < $1.key }) {
      append(key, to: &data)
      append(type(of: value).rawValue, to: &data)
      append(value, to: &data)
    }
    return data
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
