import Foundation
import Kernels
import ModelFormats
import Models
import Synchronization
import TestSupport
import Testing

#if canImport(Glibc)
  import Glibc
#endif

/// Packed files: what comes out of one is what was packed, and whatever else lies at its place is
/// replaced.
@Suite struct PackedModelTests {
  static let tokens = randomTokens(70, seed: 4)
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  func place(_ content: String = "test", isVerified: Bool = true) -> PackedModelPlace {
    PackedModelPlace(
      path: folder.path("model"), key: PackedModelKey(content: content), isVerified: isVerified)
  }

  func bits(_ model: Model) throws -> [UInt32] {
    try Executor(model, compute: makeCompute()).bits(of: Self.tokens, cache: .f32, chunk: 70)
  }

  /// The bits of the model at a place; `reads` counts what is read of the source.
  func packedBits(
    _ test: TestModel, _ place: PackedModelPlace, reads: Counter = Counter()
  ) throws -> [UInt32] {
    try bits(
      Model(
        test.description, packedAt: place,
        from: CountingSource(source: test.source, counter: reads)))
  }

  var files: [String] {
    get throws { try FileManager.default.contentsOfDirectory(atPath: folder.url.path) }
  }

  /// With too little memory weights are asked for before they are used.
  @Test func tooLittleMemoryGivesTheSameBits() throws {
    let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Fixtures/models/qwen3_moe")
    let files = try ModelFiles(path: fixture.path)
    func bits(_ model: Model) throws -> [UInt32] {
      try Executor(model, compute: makeCompute()).bits(of: Self.tokens, cache: .f32, chunk: 7)
    }
    let expected = try bits(Model(files.description, from: files.source))
    for available in [0, 1 << 40] {
      let place = PackedModelPlace(
        path: folder.path("model"), key: PackedModelKey(content: "test"), isVerified: true,
        availableBytes: available)
      let model = try Model(files.description, packedAt: place, from: files.source)
      #expect(try bits(model) == expected)
    }
  }

  @Test(arguments: SameBitsTests.matrixTypes, [Model.LoadOptions.Weights.asStored, .float32])
  func theSecondStartHasTheSameBitsAndReadsNoWeights(
    _ type: ElementType, _ weights: Model.LoadOptions.Weights
  ) throws {
    let test = TestModel.make(matrices: type, tied: false, biased: true)
    let options = Model.LoadOptions(weights: weights)
    let place = PackedModelPlace(
      path: folder.path("model"), key: PackedModelKey(content: "test", options: options),
      isVerified: true)
    let counter = Counter()
    let source = CountingSource(source: test.source, counter: counter)
    let expected = try bits(test.load(options))
    let first = try Model(test.description, packedAt: place, from: source, options: options)
    #expect(try bits(first) == expected)
    #expect(counter.count > 0)
    let read = counter.count
    #expect(first.isMapped)
    let second = try Model(test.description, packedAt: place, from: source, options: options)
    #expect(try bits(second) == expected)
    #expect(counter.count == read)
    #expect(second.weightBytes == (try test.load(options)).weightBytes)
    let size = try FileManager.default.attributesOfItem(atPath: place.path)[.size] as? Int
    let planned = try PackedModelFile.largestByteCount(
      test.description, from: test.source, options: options)
    #expect(size == planned)
  }

  /// A file wider than what went into it takes no more memory, and gives the bits of its own
  /// values.
  @Test(arguments: [ElementType.bfloat16, .float16])
  func float32WeightsAreHeldAsNarrowlyAsTheyCanBe(_ type: ElementType) throws {
    let narrow = TestModel.make(matrices: type, tied: false)
    var wide = narrow
    wide.source = MemoryTensorSource(try narrow.source.entries.mapValues { try $0.widened() })
    let (model, expected) = (try wide.load(), try narrow.load())
    #expect(model.weightBytes == expected.weightBytes)
    #expect(try bits(model) == bits(expected))
    #expect(try packedBits(wide, place()) == bits(expected))
    let counter = Counter()
    let planned = try PackedModelFile.largestByteCount(
      wide.description, from: CountingSource(source: wide.source, counter: counter))
    let size = try FileManager.default.attributesOfItem(atPath: place().path)[.size] as? Int
    #expect(counter.count == 0 && planned > (size ?? .max))
    func least(_ weights: Model.LoadOptions.Weights) throws -> Int {
      try PackedModelFile.leastByteCount(
        wide.description, from: CountingSource(source: wide.source, counter: counter),
        options: .init(weights: weights))
    }
    // The name of the type may lengthen the header.
    #expect(abs(try least(.asStored) - (size ?? 0)) <= 4096)
    #expect(try least(.float32) == planned)
    #expect(counter.count == 0)
    #expect(!model.isMapped && !expected.isMapped)
    let whole = try wide.load(Model.LoadOptions(weights: .float32))
    #expect(whole.weightBytes > 19 * expected.weightBytes / 10)
    #expect(try bits(whole) == bits(expected))
  }

  @Test func theLeastBytesOfAPartAreItsOwn() throws {
    let test = TestModel.make(matrices: .q8_0)
    func least(_ part: ModelPart?) throws -> Int {
      try PackedModelFile.leastByteCount(test.description, part: part, from: test.source)
    }
    let (whole, count) = (try least(nil), test.description.layers.count)
    #expect(try least(.whole(of: test.description)) == whole)
    let part = ModelPart(hasEmbedding: false, layers: 0..<1, hasHead: false)
    let bytes = try least(part)
    #expect(bytes < whole)
    let largest = try PackedModelFile.largestByteCount(
      test.description, part: part, from: test.source)
    #expect(bytes <= largest)
    let missing = ModelPart(hasEmbedding: false, layers: 0..<count + 1, hasHead: false)
    #expect(throws: FormatError.self) { try least(missing) }
  }

  /// As if the system had needed the memory at any time.
  @Test func pagesThatWereDroppedComeBack() throws {
    let test = TestModel.make(matrices: .q8_0)
    let expected = try packedBits(test, place())
    let model = try Model(test.description, packedAt: place(), from: test.source)
    let executor = Executor(model, compute: try makeCompute())
    for _ in 0..<3 {
      try dropFileMappings(of: place().path)
      #expect(try executor.bits(of: Self.tokens, cache: .f32, chunk: 70) == expected)
    }
  }

  @Test func whatIsNoWholeFileOfThisModelIsReplaced() throws {
    let test = TestModel.make(matrices: .q4_1)
    let expected = try packedBits(test, place())
    let good = try Data(contentsOf: URL(fileURLWithPath: place().path))
    func changed(_ offset: Int) -> Data {
      var data = good
      data[offset] ^= 1
      return data
    }
    let wrong: [(String, Data)] = [
      ("empty", Data()), ("a byte", Data([1])), ("cut in the header", good.prefix(200)),
      ("cut at the header's end", good.prefix(4096)), ("cut at the end", good.dropLast()),
      ("longer", good + Data([0])), ("zeros", Data(count: good.count)),
      ("no magic", changed(0)), ("another version", changed(8)), ("another layout", changed(12)),
      ("another header's length", changed(17)), ("another file's length", changed(25)),
      ("another key", changed(40)), ("another hash", changed(70)), ("more tensors", changed(96)),
      ("another name", changed(113)), ("a weight", changed(good.count - 4096)),
      ("another model", Data((0..<good.count).map { UInt8(truncatingIfNeeded: $0 * 7) })),
    ]
    for (what, data) in wrong {
      // A new file, since the old one may be mapped.
      try FileManager.default.removeItem(atPath: place().path)
      try data.write(to: URL(fileURLWithPath: place().path))
      let counter = Counter()
      #expect(try packedBits(test, place(), reads: counter) == expected, "\(what)")
      #expect(counter.count > 0, "\(what)")
      #expect(try Data(contentsOf: URL(fileURLWithPath: place().path)) == good, "\(what)")
    }
    let other = TestModel.make(matrices: .q4_1, seed: 8)
    #expect(try packedBits(other, place("other")) == bits(other.load()))
    #expect(try files == ["model"])
  }

  /// Flipped bits and cuts at random places: refused or without effect, never a crash.
  @Test func damagedHeadersAreRefused() throws {
    let test = TestModel.make(matrices: .q8_0)
    let expected = try packedBits(test, place())
    let good = try Data(contentsOf: URL(fileURLWithPath: place().path))
    for seed in testSeeds(60) {
      var random = SeededRandom(seed: seed)
      var data = good
      for _ in 0...Int.random(in: 0..<3, using: &random) {
        data[Int.random(in: 0..<3000, using: &random)] = .random(in: 0...255, using: &random)
      }
      if random.chance(0.2) { data = data.prefix(Int.random(in: 0..<data.count, using: &random)) }
      try FileManager.default.removeItem(atPath: place().path)
      try data.write(to: URL(fileURLWithPath: place().path))
      #expect(try packedBits(test, place(isVerified: false)) == expected, "seed \(seed)")
    }
  }

  @Test func aPlaceThatCannotBeWrittenIsNoError() throws {
    let test = TestModel.make()
    let expected = try bits(test.load())
    for path in ["missing/model", "folder"] {
      try FileManager.default.createDirectory(
        atPath: folder.path("folder/inside"), withIntermediateDirectories: true)
      let place = PackedModelPlace(
        path: folder.path(path), key: PackedModelKey(content: "test"), isVerified: true)
      #expect(try packedBits(test, place) == expected)
      #expect(try files == ["folder"])
    }
  }

  @Test func whatIsWrongWithTheSourceIsTold() throws {
    var test = TestModel.make()
    var entries = test.source.entries
    entries["1.key"] = nil
    test.source = MemoryTensorSource(entries)
    #expect(throws: FormatError.self) { try packedBits(test, place()) }
    let failing = CountingSource(source: TestModel.make().source, counter: Counter(limit: 5))
    #expect(throws: FormatError.self) {
      try Model(test.description, packedAt: place(), from: failing)
    }
    #expect(try files == [])
  }

  @Test func whatKilledProcessesLeftIsRemoved() throws {
    let test = TestModel.make()
    let (left, used) = (folder.path("model.new.aaaaaa"), folder.path("model.new.bbbbbb"))
    for path in [left, used] { try Data([1]).write(to: URL(fileURLWithPath: path)) }
    let file = open(used, O_RDWR)
    #expect(flock(file, LOCK_EX) == 0)
    _ = try packedBits(test, place())
    #expect(try files.sorted() == ["model", "model.new.bbbbbb"])
    close(file)
  }

  @Test func anyNumberMayWriteAtOnce() throws {
    let test = TestModel.make(matrices: .q8_0)
    let expected = try bits(test.load())
    let failures = Mutex<[String]>([])
    let place = place()
    DispatchQueue.concurrentPerform(iterations: 8) { _ in
      do {
        let model = try Model(test.description, packedAt: place, from: test.source)
        let bits = try Executor(model, compute: makeCompute())
          .bits(of: Self.tokens, cache: .f32, chunk: 70)
        if bits != expected { failures.withLock { $0.append("other bits") } }
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }
    #expect(failures.withLock { $0 } == [])
    #expect(try files == ["model"])
  }

  // MARK: The folder of a command line

  static let fixtures = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("Fixtures")

  @Test func aModelThatChangesIsPackedAnew() throws {
    let models = try TemporaryFolder()
    let packed = PackedModelFolder(path: folder.path("packed"))
    func names() throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: folder.path("packed")).sorted()
    }
    let path = models.path("model.gguf")
    func put(_ fixture: String) throws {
      try Data(contentsOf: Self.fixtures.appendingPathComponent("gguf/\(fixture).gguf"))
        .write(to: URL(fileURLWithPath: path))
    }
    try put("llama2")
    let first = try bits(packed.load(path: path))
    let before = try names()
    #expect(try bits(packed.load(path: path)) == first)
    #expect(try names() == before && before.count == 1)
    try put("llama3.1")
    #expect(try bits(packed.load(path: path)) == bits(Model(path: path)))
    #expect(try names() != before && names().count == 1)
    // Another way to hold it is another file.
    _ = try packed.load(path: path, options: .init(weights: .float32))
    #expect(try names().count == 2)
  }

  @Test func theLeastRecentlyUsedGoBeyondTheLimit() throws {
    let models = try TemporaryFolder()
    let packed = PackedModelFolder(path: folder.path("packed"), limitBytes: 1 << 20)
    func names() throws -> Set<String> {
      Set(try FileManager.default.contentsOfDirectory(atPath: folder.path("packed")))
    }
    let fixture = Self.fixtures.appendingPathComponent("gguf/llama2.gguf")
    var paths: [String] = []
    for index in 0..<8 {
      let path = models.path("\(index).gguf")
      try FileManager.default.copyItem(atPath: fixture.path, toPath: path)
      let before = (try? names()) ?? []
      _ = try packed.load(path: path)
      let added = try names().subtracting(before)
      #expect(added.count == 1)
      for name in added {
        // Seconds apart, so that the order is certain; the first one was used again.
        var time = timeval()
        time.tv_sec = index == 0 ? 1000 : 100 + index
        utimes(folder.path("packed/\(name)"), [time, time])
        paths.append(name)
      }
    }
    let left = try names()
    let total = try left.reduce(0) {
      try $0
        + Data(contentsOf: URL(fileURLWithPath: folder.path("packed/\($1)"))).count
    }
    #expect(left.count < 8)
    #expect(left.contains(paths[0]) && left.contains(paths[7]) && !left.contains(paths[1]))
    #expect(total < 2 << 20)
  }
}

/// Counts, up to a limit.
final class Counter: Sendable {
  private let value = Mutex(0)
  let limit: Int

  init(limit: Int = .max) { self.limit = limit }

  var count: Int { value.withLock { $0 } }

  /// False beyond the limit.
  func add() -> Bool {
    value.withLock {
      $0 += 1
      return $0 <= limit
    }
  }
}

/// A source that counts reads and fails beyond the counter's limit.
struct CountingSource: TensorSource {
  let source: MemoryTensorSource
  let counter: Counter

  var name: String { source.name }
  var tensorNames: [String] { source.tensorNames }
  func tensor(_ name: String) throws -> SourceTensor { try source.tensor(name) }
  func release(_ name: String, upTo offset: Int) {}

  func read(_ name: String, offset: Int, into target: UnsafeMutableRawBufferPointer) throws {
    guard counter.add() else { throw FormatError(.unreadable, file: name, reason: "enough") }
    try source.read(name, offset: offset, into: target)
  }
}

/// Takes every page of this process's mappings of a file out of memory.
func dropFileMappings(of path: String) throws {
  let name = path.split(separator: "/").suffix(2).joined(separator: "/")
  let maps = try #require(fopen("/proc/self/maps", "r"))
  defer { fclose(maps) }
  var lines: [String] = []
  var buffer = [CChar](repeating: 0, count: 8192)
  while fgets(&buffer, Int32(buffer.count), maps) != nil {
    let line = buffer.withUnsafeBufferPointer { String(cString: $0.baseAddress!) }
    if line.hasSuffix(name + "\n") { lines.append(line) }
  }
  #expect(!lines.isEmpty)
  for line in lines {
    let ends = line.prefix { $0 != " " }.split(separator: "-").compactMap { UInt($0, radix: 16) }
    try #require(ends.count == 2)
    #expect(
      madvise(UnsafeMutableRawPointer(bitPattern: ends[0]), Int(ends[1] - ends[0]), MADV_DONTNEED)
        == 0)
  }
}

extension MemoryTensorSource.Entry {
  /// The same values as float32.
  fileprivate func widened() throws -> Self {
    guard let kernels = WeightType(rawValue: type == .float16 ? "f16" : "bf16"), shape.count == 2
    else { return self }
    var values = [Float](repeating: 0, count: shape[0] * shape[1])
    try bytes.withUnsafeBytes { bytes in
      try values.withUnsafeMutableBufferPointer { try kernels.dequantise(bytes, into: $0) }
    }
    return Self(type: .float32, shape: shape, bytes: values.withUnsafeBytes { [UInt8]($0) })
  }
}
