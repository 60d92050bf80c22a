import Foundation
import Kernels
import ModelFormats
import Models
import Synchronization
import Testing

@Suite struct ManifestTests {
  /// Not SHA-256, but as distinctive for a test: 64 hexadecimal digits of a mixed FNV hash.
  static let digest: @Sendable (UnsafeRawBufferPointer) -> String = { bytes in
    (0..<4).map { part in
      let seed = 0xCBF2_9CE4_8422_2325 ^ UInt64(part)
      let hash = bytes.reduce(seed) { ($0 ^ UInt64($1)) &* 0x0000_0100_0000_01B3 }
      let digits = String(hash, radix: 16)
      return String(repeating: "0", count: 16 - digits.count) + digits
    }.joined()
  }

  final class ChunkStore: Sendable {
    let chunks = Mutex<[String: [UInt8]]>([:])

    func keep(_ bytes: UnsafeRawBufferPointer) -> String {
      let name = ManifestTests.digest(bytes)
      chunks.withLock { $0[name] = [UInt8](bytes) }
      return name
    }

    func look(_ name: String) throws -> ByteStorage {
      guard let bytes = chunks.withLock({ $0[name] }) else {
        throw FormatError(.missing, file: "store", reason: name)
      }
      return ByteStorage(bytes)
    }
  }

  func make(_ test: TestModel, _ store: ChunkStore) throws -> ModelManifest {
    try ModelManifest.make(test.description, from: test.source) { _, bytes in store.keep(bytes) }
  }

  @Test(arguments: [ElementType.float32, .q4_1])
  func aModelLoadsFromItsChunks(_ type: ElementType) throws {
    let (test, store) = (TestModel.make(matrices: type), ChunkStore())
    let made = try make(test, store)
    let manifest = try ModelManifest(json: made.canonicalJSON(), name: "manifest.json")
    #expect(manifest == made)
    #expect(try manifest.canonicalJSON() == made.canonicalJSON())
    let source = ManifestTensorSource(manifest, name: "manifest", digest: Self.digest) {
      try store.look($0)
    }
    let tokens = randomTokens(20, seed: 4)
    let expected = try Executor(test.load(), compute: makeCompute())
      .bits(of: tokens, cache: .f32, chunk: 20)
    let bits = try Executor(Model(manifest.description, from: source), compute: makeCompute())
      .bits(of: tokens, cache: .f32, chunk: 20)
    #expect(bits == expected)
  }

  @Test func aPartLoadsFromItsChunksAlone() throws {
    let (test, store) = (TestModel.make(), ChunkStore())
    let manifest = try make(test, store)
    let parts = [
      ModelPart(hasEmbedding: true, layers: 0..<0, hasHead: false),
      ModelPart(hasEmbedding: false, layers: 1..<3, hasHead: false),
      ModelPart(hasEmbedding: false, layers: 3..<3, hasHead: true),
    ]
    var all = 0
    for part in parts {
      let chunks = manifest.distinctChunks(of: part)
      all += chunks.reduce(0) { $0 + $1.bytes }
      let known = Set(chunks.map(\.sha256))
      let source = ManifestTensorSource(manifest, name: "part", digest: Self.digest) { name in
        #expect(known.contains(name))
        return try store.look(name)
      }
      _ = try Model(part, of: manifest.description, from: source)
    }
    // The first layer is in none of them.
    #expect(all < manifest.byteCount)
    let whole = manifest.distinctChunks(of: .whole(of: manifest.description))
    #expect(whole.reduce(0) { $0 + $1.bytes } == manifest.byteCount)
  }

  @Test func longTensorsAreCutAtRows() throws {
    var description = TestModel.describe(tied: true, biased: false, window: nil, style: .halves)
    description.vocabularySize = 100_000
    description.output.outputs = 100_000
    var entries = TestModel.make().source.entries
    let bytes = (0..<100_000 * 64 * 4).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 8) }
    entries["embedding"] = .init(type: .float32, shape: [100_000, 64], bytes: bytes)
    let (source, store) = (MemoryTensorSource(entries), ChunkStore())
    let manifest = try ModelManifest.make(description, from: source) { _, bytes in
      store.keep(bytes)
    }
    let embedding = try #require(manifest.tensors.first { $0.name == "embedding" })
    #expect(embedding.chunks.count == 4)
    #expect(embedding.chunks.allSatisfy { $0.bytes <= 8 << 20 && $0.bytes % 256 == 0 })
    let chunked = ManifestTensorSource(manifest, name: "manifest") { try store.look($0) }
    var copy = [UInt8](repeating: 0, count: 20_000_000)
    try copy.withUnsafeMutableBytes { try chunked.read("embedding", offset: 77, into: $0) }
    #expect(copy == Array(bytes[77..<20_000_077]))
    #expect(throws: FormatError.self) {
      try copy.withUnsafeMutableBytes {
        try chunked.read("embedding", offset: 6_000_000, into: $0)
      }
    }
  }

  @Test func wrongBytesAreNoticed() throws {
    let (test, store) = (TestModel.make(), ChunkStore())
    let manifest = try make(test, store)
    let name = try #require(manifest.tensors.last?.chunks.first?.sha256)
    store.chunks.withLock { $0[name]?[3] ^= 1 }
    let checked = ManifestTensorSource(manifest, name: "m", digest: Self.digest) {
      try store.look($0)
    }
    #expect(throws: FormatError.self) { try Model(manifest.description, from: checked) }
    store.chunks.withLock { _ = $0[name]?.removeLast() }
    let unchecked = ManifestTensorSource(manifest, name: "m") { try store.look($0) }
    #expect(throws: FormatError.self) { try Model(manifest.description, from: unchecked) }
    store.chunks.withLock { $0[name] = nil }
    #expect(throws: FormatError.self) { try Model(manifest.description, from: unchecked) }
  }

  @Test func aManifestSaysWhoseWeightsItNames() throws {
    let (test, store) = (TestModel.make(), ChunkStore())
    func make(_ provenance: ModelProvenance?) throws -> ModelManifest {
      try ModelManifest.make(test.description, from: test.source, provenance: provenance) {
        _, bytes in
        store.keep(bytes)
      }
    }
    let digest = String(repeating: "0a", count: 32)
    let provenance = ModelProvenance(
      source: "hf:a/b@c", licence: "mit", licenceText: "text", licenceLink: "l", baseModels: ["d"],
      rounding: "q4_k",
      files: [.init(name: "f", bytes: 7, sha256: digest)])
    let made = try make(provenance)
    let read = try ModelManifest(json: made.canonicalJSON(), name: "manifest.json")
    #expect(read == made && read.provenance == provenance)
    // Without one, a manifest is as programs without provenance made it.
    let plain = try String(decoding: make(nil).canonicalJSON(), as: UTF8.self)
    #expect(!plain.contains("provenance"))

    let json = String(decoding: try made.canonicalJSON(), as: UTF8.self)
    for (original, damaged) in [
      (digest, digest.uppercased()), ("\"bytes\":7", "\"bytes\":-7"), ("\"source\"", "\"other\""),
      ("\"text\"", "\"\(String(repeating: "t", count: 300_000))\""),
      ("hf:a/b@c", String(repeating: "s", count: 1025)), ("[\"d\"]", "\"d\""),
    ] {
      #expect(throws: FormatError.self, "\(original)") {
        try ModelManifest(
          json: Data(json.replacing(original, with: damaged).utf8), name: "manifest.json")
      }
    }
  }

  @Test(arguments: [
    ("\"version\":1", "\"version\":2"), ("\"heads\":4", "\"heads\":5"),
    ("\"heads\":4", "\"heads\":0"), ("\"heads\":4", "\"heads\":9223372036854775807"),
    ("\"heads\":4", "\"heads\":-4"), ("\"hiddenSize\":64", "\"hiddenSize\":4611686018427387904"),
    ("\"rope\":0", "\"rope\":1"), ("\"rope\":0", "\"rope\":-1"),
    ("\"dimensions\":16", "\"dimensions\":17"), ("\"dimensions\":16", "\"dimensions\":18"),
    ("\"base\":10000", "\"base\":0"), ("\"base\":10000", "\"base\":-5"),
    ("\"base\":10000", "\"base\":1e999"), ("\"contextLength\":300", "\"contextLength\":0"),
    ("\"endOfSequenceIds\":[2]", "\"endOfSequenceIds\":[83]"),
    ("\"inputs\":96", "\"inputs\":97"), ("\"family\":\"test\"", "\"family\":7"),
    ("\"family\":\"test\"", "\"family\":\"test\",\"family\":\"test\""),
    ("\"type\":\"F32\"", "\"type\":\"F33\""), ("\"type\":\"F32\"", "\"type\":\"F64\""),
    ("\"bytes\":256", "\"bytes\":255"), ("\"bytes\":256", "\"bytes\":9223372036854775807"),
    ("\"bytes\":256", "\"bytes\":-1"), ("\"name\":\"embedding\"", "\"name\":\"other\""),
    ("\"sha256\":\"", "\"sha256\":\"../"), ("\"silu\"", "\"relu\""),
    ("\"weight\":\"finalNorm\"", "\"weight\":\"embedding\""), ("{", ""), ("}", ""),
  ])
  func damagedManifestsAreRefused(_ original: String, _ damaged: String) throws {
    let json = String(
      decoding: try make(TestModel.make(), ChunkStore()).canonicalJSON(), as: UTF8.self)
    let range = try #require(json.range(of: original))
    let bytes = Data(json.replacingCharacters(in: range, with: damaged).utf8)
    let error = try #require(throws: FormatError.self) {
      try ModelManifest(json: bytes, name: "manifest.json")
    }
    #expect(error.file == "manifest.json")
  }
}
