import Foundation

/// `Tests/Fixtures` of this checkout.
let fixtures = URL(fileURLWithPath: #filePath)
  .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Fixtures")

/// A folder that is removed when the value goes.
final class TemporaryFolder {
  let url = FileManager.default.temporaryDirectory
    .appendingPathComponent("model-formats-\(UUID().uuidString)")

  init() throws {
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit {
    try? FileManager.default.removeItem(at: url)
  }

  func write(_ name: String, _ text: String) throws {
    try Data(text.utf8).write(to: url.appendingPathComponent(name))
  }
}

/// Writes GGUF files field by field, also wrong ones.
struct GGUFBuilder {
  var bytes: [UInt8] = []

  mutating func integer<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }

  mutating func string(_ text: String) {
    integer(UInt64(text.utf8.count))
    bytes += Array(text.utf8)
  }

  mutating func pair(_ key: String, type: UInt32) {
    string(key)
    integer(type)
  }

  mutating func tensor(_ name: String, _ dimensions: [UInt64], type: UInt32, offset: UInt64) {
    string(name)
    integer(UInt32(dimensions.count))
    for dimension in dimensions { integer(dimension) }
    integer(type)
    integer(offset)
  }

  /// Pads to 32 and appends `count` zeros.
  mutating func data(_ count: Int) {
    bytes += Array(repeating: 0, count: (32 - bytes.count % 32) % 32 + count)
  }

  init(
    magic: String = "GGUF", version: UInt32 = 3, tensors: UInt64 = 0, pairs: UInt64 = 0,
    _ fill: (inout GGUFBuilder) -> Void = { _ in }
  ) {
    bytes = Array(magic.utf8)
    integer(version)
    integer(tensors)
    integer(pairs)
    fill(&self)
  }
}
