import Foundation
import ModelFormats
import Models
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// Peak memory while a model loads, measured in a process of its own: this test starts the test
/// program again with `TALLY_MEASURE_LOADING` set, and that second run loads the model and reports.
@Suite struct LoadingMemoryTests {
  static let variable = "TALLY_MEASURE_LOADING"
  /// Names the folder for packed files, where there is to be one.
  static let packedVariable = "TALLY_MEASURE_PACKED"

  /// Weights as stored must fit into this multiple of their bytes.
  static let limit = 1.3

  @Test func peakStaysBelowTheLimit() throws {
    if let path = ProcessInfo.processInfo.environment[Self.variable] {
      let report = try measure(path)
      print("\(Self.variable) \(report.weights) \(report.growth)")
      return
    }
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("loading-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    for type in [("Q4_1", 3 as UInt32, 20, 32), ("F16", 1, 2, 1)] {
      let file = folder.appendingPathComponent("\(type.0).gguf")
      try writeModel(file, type: type.1, blockBytes: type.2, blockElements: type.3)
      let (weights, growth) = try measureInAnotherProcess(file)
      print("loading \(weights >> 20) MiB of \(type.0): memory grew by \(growth >> 20) MiB at most")
      #expect(weights > 48 << 20)
      #expect(Double(growth) < Self.limit * Double(weights))
    }
  }

  /// What is packed into a file, or mapped from one, is in the file's pages and not in ours.
  @Test func packedFilesTakeLittleMemory() throws {
    guard ProcessInfo.processInfo.environment[Self.variable] == nil else { return }
    let folder = try TemporaryFolder()
    let file = folder.url.appendingPathComponent("F16.gguf")
    try writeModel(file, type: 1, blockBytes: 2, blockElements: 1)
    for start in ["packing", "the next start"] {
      let (weights, growth) = try measureInAnotherProcess(file, packed: folder.path("packed"))
      print("\(start) with \(weights >> 20) MiB: own memory grew by \(growth >> 20) MiB")
      #expect(weights > 100 << 20)
      #expect(growth < weights / 10)
    }
  }

  /// Bytes of the weights, and by how much resident memory peaked above what it was before loading;
  /// with packed files, by how much memory grew that is in no file.
  func measure(_ path: String) throws -> (weights: Int, growth: Int) {
    // "5" sets the peak back to the current resident size (proc(5), /proc/pid/clear_refs).
    try Data("5".utf8).write(to: URL(fileURLWithPath: "/proc/self/clear_refs"))
    let before = try status("VmRSS")
    let ownBefore = try status("RssAnon")
    let packed = ProcessInfo.processInfo.environment[Self.packedVariable]
    let model =
      try packed.map { try PackedModelFolder(path: $0).load(path: path) } ?? Model(path: path)
    let peak = try status("VmHWM")
    let own = try status("RssAnon")
    return (model.weightBytes, packed == nil ? peak - before : own - ownBefore)
  }

  /// A size of `/proc/self/status`, in bytes.
  func status(_ key: String) throws -> Int {
    let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = try #require(text.split(separator: "\n").first { $0.hasPrefix(key + ":") })
    let digits = line.filter(\.isNumber)
    return try #require(Int(digits)) * 1024
  }

  func measureInAnotherProcess(
    _ file: URL, packed: String? = nil
  ) throws -> (weights: Int, growth: Int) {
    let process = Process()
    process.executableURL = URL(
      fileURLWithPath: try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
    process.arguments = [
      "--testing-library", "swift-testing", "--filter", "LoadingMemoryTests/peakStaysBelowTheLimit",
    ]
    var environment = ProcessInfo.processInfo.environment
    environment[Self.variable] = file.path
    environment[Self.packedVariable] = packed
    process.environment = environment
    let pipe = Pipe()
    process.standardOutput = pipe
    try process.run()
    let output = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(output)")
    let line = try #require(
      output.split(separator: "\n").first { $0.hasPrefix(Self.variable) }, "\(output)")
    let numbers = line.split(separator: " ").compactMap { Int($0) }
    try #require(numbers.count == 2)
    return (numbers[0], numbers[1])
  }

  /// A Llama model of about a hundred million weights, all zero: the file is a header and a hole.
  func writeModel(_ url: URL, type: UInt32, blockBytes: Int, blockElements: Int) throws {
    let (hidden, width, vocabulary, layers) = (1024, 4096, 16384, 5)
    var tensors: [(String, [Int], UInt32)] = [
      ("token_embd.weight", [hidden, vocabulary], type), ("output_norm.weight", [hidden], 0),
    ]
    for layer in 0..<layers {
      for name in ["attn_q", "attn_k", "attn_v", "attn_output"] {
        tensors.append(("blk.\(layer).\(name).weight", [hidden, hidden], type))
      }
      tensors.append(("blk.\(layer).ffn_gate.weight", [hidden, width], type))
      tensors.append(("blk.\(layer).ffn_up.weight", [hidden, width], type))
      tensors.append(("blk.\(layer).ffn_down.weight", [width, hidden], type))
      tensors.append(("blk.\(layer).attn_norm.weight", [hidden], 0))
      tensors.append(("blk.\(layer).ffn_norm.weight", [hidden], 0))
    }
    let settings: [(String, UInt32)] = [
      ("llama.block_count", UInt32(layers)), ("llama.context_length", 256),
      ("llama.embedding_length", UInt32(hidden)), ("llama.feed_forward_length", UInt32(width)),
      ("llama.attention.head_count", 16),
    ]
    var header = GGUFHeaderWriter()
    header.begin(tensors: tensors.count, pairs: settings.count + 2)
    header.text("general.architecture", "llama")
    header.float("llama.attention.layer_norm_rms_epsilon", 1e-5)
    for (key, value) in settings { header.integer(key, value) }
    var offset = 0
    for (name, dimensions, type) in tensors {
      header.tensor(name, dimensions, type: type, offset: offset)
      let elements = dimensions.reduce(1, *)
      let bytes = type == 0 ? elements * 4 : elements / blockElements * blockBytes
      offset += (bytes + 31) / 32 * 32
    }
    try Data(header.bytes).write(to: url)
    let handle = try FileHandle(forWritingTo: url)
    try handle.truncate(atOffset: UInt64((header.bytes.count + 31) / 32 * 32 + offset))
    try handle.close()
  }
}

/// The header of a GGUF file, field by field.
struct GGUFHeaderWriter {
  private(set) var bytes: [UInt8] = []

  private mutating func put<T: FixedWidthInteger>(_ value: T) {
    withUnsafeBytes(of: value.littleEndian) { bytes += $0 }
  }

  private mutating func put(_ text: String) {
    put(UInt64(text.utf8.count))
    bytes += Array(text.utf8)
  }

  mutating func begin(tensors: Int, pairs: Int) {
    bytes += Array("GGUF".utf8)
    put(3 as UInt32)
    put(UInt64(tensors))
    put(UInt64(pairs))
  }

  mutating func text(_ key: String, _ value: String) {
    put(key)
    put(8 as UInt32)
    put(value)
  }

  mutating func integer(_ key: String, _ value: UInt32) {
    put(key)
    put(4 as UInt32)
    put(value)
  }

  mutating func float(_ key: String, _ value: Float) {
    put(key)
    put(6 as UInt32)
    put(value.bitPattern)
  }

  mutating func tensor(_ name: String, _ dimensions: [Int], type: UInt32, offset: Int) {
    put(name)
    put(UInt32(dimensions.count))
    for dimension in dimensions { put(UInt64(dimension)) }
    put(type)
    put(UInt64(offset))
  }
}
