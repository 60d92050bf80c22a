import Foundation
import Synchronization
import Testing
import TestSupport
import WirePayloads
import WireProtocol
import WorkerDaemon
import WorkerEngine

/// A real runner that holds its unit still once so many sequences have ended, until it is stopped.
private final class HeldRunner: UnitRunning {
  let inner: ModelUnitRunner
  let limit: Int
  let ended = Mutex(0)
  let reached: AsyncStream<Void>
  private let tell: AsyncStream<Void>.Continuation

  init(stopsAfter limit: Int) throws {
    inner = try ModelUnitRunner(environment: [:])
    self.limit = limit
    (reached, tell) = AsyncStream.makeStream()
  }

  func chunks(ofManifest manifest: Data, part: UnitPart?) throws -> [BlobReference] {
    try inner.chunks(ofManifest: manifest, part: part)
  }

  func run(_ task: UnitTask) throws -> UnitOutcome {
    var held = task
    held.sequenceFinished = { [self] index, sequence in
      task.sequenceFinished(index, sequence)
      let count = ended.withLock { count in
        count += 1
        return count
      }
      guard count == limit else { return }
      tell.yield()
      while !task.isCancelled() {}
    }
    return try inner.run(held)
  }
}

@Suite(.timeLimit(.minutes(5))) struct CheckpointTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  /// A stop in the middle of a unit, and a start that computes the rest: the same bits. What a disk
  /// changed in between is computed again.
  @Test(arguments: [false, true]) func aKeptUnitGoesOnWhereItWas(damaged: Bool) async throws {
    let (place, authority) = (place, authority)
    try await StubCoordinator.run(authority: authority) { url, state in
      let (manifest, chunks) = try EngineTests.chunks()
      for chunk in chunks { _ = await state.add(chunk) }
      let model = await state.add(manifest)
      let lease = try await state.addUnit(1, model: model, inputs: EngineTests.inputs.encoded())
      var configuration = WorkerConfiguration(dataFolder: place.path("worker"))
      configuration.invitation = try await state.invitation(url, authority)
      configuration.keepsUnits = true
      configuration.checkpointSeconds = 0
      let interrupted = try HeldRunner(stopsAfter: 2)
      try await withWorker(configuration, runner: interrupted) { _ in
        for await _ in interrupted.reached { break }
      }
      #expect(await state.uploads.isEmpty)
      #expect(await state.abandonments.isEmpty)
      let folder = place.path("worker/units")
      let names = try FileManager.default.contentsOfDirectory(atPath: folder)
      #expect(names == ["\(lease.id)-\(lease.unit.hex).checkpoint"])
      if damaged {
        let url = URL(fileURLWithPath: "\(folder)/\(names[0])")
        var bytes = try Data(contentsOf: url)
        bytes[bytes.count - 1] ^= 1
        try bytes.write(to: url)
      }
      try Data("nothing".utf8).write(to: URL(fileURLWithPath: folder + "/junk.checkpoint"))

      configuration.invitation = nil
      let further = try HeldRunner(stopsAfter: .max)
      let resumed = damaged ? 1 : 2
      try await withWorker(configuration, runner: further) { reports in
        let report = try await reports.wait { $0.unitsDone == 1 }
        #expect(report.sequencesResumed == resumed)
      }
      #expect(further.ended.withLock { $0 } == EngineTests.inputs.sequences.count - resumed)
      let upload = try #require(await state.uploads.first)
      #expect(upload.lease == lease.id)
      #expect(upload.result == (try EngineTests.expected(lease.specification).encoded()))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
    }
  }

  // MARK: The file

  static let digits = "lease_" + String(repeating: "7", count: 24)

  static func lease() throws -> Lease {
    let digest = BlobDigest.sha256(Data("model".utf8))
    let specification = UnitSpecification(
      kind: .generate, model: digest, inputs: digest, cache: .f16)
    return Lease(
      id: digits, unit: try BlobDigest.unit(specification), specification: specification,
      estimatedFlops: 1e9, deadlineSeconds: 60, heartbeatSeconds: 10)
  }

  static let entries: [(CheckpointFile.Entry, Data)] = [
    (.started, Data()), (.finished(sequences: [3, 1], milliseconds: 700), Data("first".utf8)),
    (.started, Data()), (.finished(sequences: [0], milliseconds: 1200), Data("second".utf8)),
    (.started, Data()), (.started, Data()),
  ]

  /// The file of these entries, and where each record ends.
  static func file(of lease: Lease) throws -> (bytes: Data, ends: [Int]) {
    var bytes = Data()
    var ends: [Int] = []
    for (entry, payload) in [(.leased(lease), Data())] + entries {
      bytes += try CheckpointFile.record(
        entry, payload: payload, at: bytes.count, lease: lease.id, unit: lease.unit)
      ends.append(bytes.count)
    }
    return (bytes, ends)
  }

  @Test func whatWasWrittenIsRead() throws {
    let lease = try Self.lease()
    let (bytes, _) = try Self.file(of: lease)
    let file = try #require(CheckpointFile(bytes, lease: lease.id, unit: lease.unit))
    #expect(file.lease == lease)
    #expect(
      file.finished == [
        FinishedSequences(indices: [3, 1], result: Data("first".utf8)),
        FinishedSequences(indices: [0], result: Data("second".utf8)),
      ])
    #expect(file.milliseconds == 1200)
    #expect(file.fruitlessStarts == 2)
    #expect(file.endOffset == bytes.count)
  }

  /// Cut off or changed anywhere, a file gives whole records from its beginning and nothing else.
  @Test func damageEndsTheFile() throws {
    let lease = try Self.lease()
    let (bytes, ends) = try Self.file(of: lease)
    let whole = try #require(CheckpointFile(bytes, lease: lease.id, unit: lease.unit))
    func check(_ damaged: Data, soundBytes: Int, _ what: String) {
      let file = CheckpointFile(damaged, lease: lease.id, unit: lease.unit)
      let end = ends.last { $0 <= soundBytes }
      #expect(file?.endOffset == end, "\(what)")
      guard let file else { return }
      #expect(whole.finished.starts(with: file.finished), "\(what)")
    }
    for count in 0..<bytes.count {
      check(bytes.prefix(count), soundBytes: count, "cut at \(count)")
    }
    for offset in bytes.indices {
      var changed = bytes
      changed[offset] ^= 1 << UInt8(offset % 8)
      check(changed, soundBytes: offset, "changed at \(offset)")
    }
    check(bytes + Data(repeating: 0xFF, count: 100), soundBytes: bytes.count, "junk behind")
  }

  @Test func recordsOfOtherUnitsAndPlacesDoNotCount() throws {
    let lease = try Self.lease()
    let (bytes, ends) = try Self.file(of: lease)
    let other = BlobDigest.sha256(Data("another unit".utf8))
    #expect(CheckpointFile(bytes, lease: lease.id, unit: other) == nil)
    #expect(CheckpointFile(bytes, lease: Self.digits.uppercased(), unit: lease.unit) == nil)
    let repeated = bytes + bytes[ends[1]..<ends[2]]
    let file = CheckpointFile(repeated, lease: lease.id, unit: lease.unit)
    #expect(file?.finished.count == 2 && file?.endOffset == bytes.count)
  }

  /// What the checksum lets pass is checked once more against what the unit asks for.
  @Test func sequencesThatCannotBeOfTheUnitAreRefused() throws {
    let inputs = GenerateInputs(sequences: [
      .init(promptTokens: [1], maxTokens: 1), .init(promptTokens: [2], maxTokens: 3),
    ])
    let sequence = GenerateResult.Sequence(
      tokens: [5, 6], finish: .length, logprobs: [-1, -2])
    let sound = try FinishedSequences([1: sequence])
    #expect(try sound.decoded(for: inputs) == [1: sequence])
    for indices in [[0], [2], [-1], [1, 1], [], [0, 1]] {
      let wrong = FinishedSequences(indices: indices, result: sound.result)
      #expect(throws: (any Error).self) { try wrong.decoded(for: inputs) }
    }
  }
}
