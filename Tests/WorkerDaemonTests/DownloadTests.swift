import Foundation
import Testing
import TestSupport
import WireProtocol
import WorkerCore
import WorkerDaemon
import WorkerEngine

/// Downloads over connections that are cut and from a coordinator that sends wrong bytes.
@Suite(.timeLimit(.minutes(5))) struct DownloadTests {
  let place: TemporaryFolder
  let authority: TestAuthority

  init() throws {
    place = try TemporaryFolder()
    authority = try TestAuthority()
  }

  func configuration(_ url: String, _ state: StubState) async throws -> WorkerConfiguration {
    var configuration = WorkerConfiguration(dataFolder: place.path("worker"))
    configuration.invitation = try await state.invitation(url, authority)
    return configuration
  }

  @Test(arguments: [false, true])
  func resumesWhereConnectionsWereCut(coded: Bool) async throws {
    let authority = authority
    for seed in testSeeds(2) {
      try await StubCoordinator.run(authority: authority) { url, state in
        var random = SeededRandom(seed: seed)
        // Inputs of three segments of 8 MiB, fetched in parallel; every second byte is an exponent.
        var inputs = Data(random.bytes(17_000_000))
        if coded {
          for at in stride(from: 1, to: inputs.count, by: 2) {
            inputs[at] = inputs[at] & 0x81 | 0x3c
          }
          await state.update { $0.codesBlobs = true }
        }
        let model = try await state.addModel(chunks: [Data(random.bytes(300_000))])
        let lease = try await state.addUnit(1, model: model, inputs: inputs)
        let cuts = (0..<12).map { _ in
          StubState.BlobFault.cut(after: Int.random(in: 1_000_000...3_000_000, using: &random))
        }
        await state.update { $0.blobFaults = cuts }
        try await withWorker(try await configuration(url, state)) { reports in
          try await reports.wait { $0.unitsDone == 1 }
        }
        #expect(await state.uploads.first?.result == Data(inputs.reversed()))
        let starts = await state.starts(of: lease.specification.inputs)
        for segment in 0..<3 {
          // Nothing that arrived is asked for again.
          let own = starts.filter { $0 / (8 << 20) == segment }
          #expect(own == own.sorted(), "seed \(seed): \(own)")
        }
        #expect(starts.contains { $0 % (8 << 20) != 0 }, "seed \(seed): never resumed")
      }
      try FileManager.default.removeItem(atPath: place.path("worker"))
    }
  }

  @Test func wrongBytesAreDroppedAndFetchedAgain() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      await state.update { $0.blobFaults = [.wrongBytes, .wrongBytes] }
      try await withWorker(try await configuration(url, state)) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
      #expect(await state.uploads.first?.result == Data("stupni".utf8))
    }
  }

  @Test func wrongBytesForEverGiveTheUnitBack() async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      let lease = try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      await state.update { $0.blobFaults = Array(repeating: .wrongBytes, count: 3) }
      let next = try await state.addUnit(2, model: model, inputs: Data("more".utf8))
      try await withWorker(try await configuration(url, state)) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
      #expect(await state.abandonments[lease.id]?.reason == .blobUnavailable)
      #expect(await state.uploads.map(\.lease) == [next.id])
      let parts = try FileManager.default.contentsOfDirectory(
        atPath: place.path("worker/cache/parts"))
      #expect(parts == [])
    }
  }

  @Test func busyAnswersAreWaitedOutAndRangesMayBeIgnored() async throws {
    let authority = authority
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("chunk".utf8)])
      try await state.addUnit(1, model: model, inputs: Data("inputs".utf8))
      let busy = StubState.Refusal(status: .tooManyRequests, code: nil, message: "later")
      await state.update {
        $0.blobFaults = [.refuse(busy), .wholeBlob, .refuse(busy), .wholeBlob, .wholeBlob]
      }
      try await withWorker(try await configuration(url, state)) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
    }
  }

  @Test func aBlobThatTheDiskDamagedIsFetchedAgain() async throws {
    let (authority, place) = (authority, place)
    try await StubCoordinator.run(authority: authority) { url, state in
      let model = try await state.addModel(chunks: [Data("a chunk of a model".utf8)])
      let chunk = await state.add(Data("a chunk of a model".utf8))
      try await state.addUnit(1, model: model, inputs: Data("one".utf8))
      try await withWorker(try await configuration(url, state)) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
      let path = place.path("worker/cache/blobs/\(chunk.hex.prefix(2))/\(chunk.hex)")
      try Data("a chunk of a nodel".utf8).write(to: URL(fileURLWithPath: path))
      try await state.addUnit(2, model: model, inputs: Data("two".utf8))
      // The runner compares the chunk with its digest.
      try await withWorker(try await configuration(url, state)) { reports in
        try await reports.wait { $0.unitsDone == 1 }
      }
      #expect(await state.uploads.count == 2)
    }
  }
}
