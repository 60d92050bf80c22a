import BoundedWork
import CoordinatorAPI
import CoordinatorCore
import CoordinatorStore
import Foundation
import HTTPTypes
import Testing
import WirePayloads

/// What a download that is asked for in pieces is.
@Suite struct CodedDownloadTests {
  @Test func soManyAreCodedForAReaderAndTheOthersArePlain() async throws {
    let coordinator = try await TestCoordinator()
    let environment = coordinator.environment
    let key = try #require(try await coordinator.store.keys().first { $0.name == "test" })
    let content = Data((0..<600_000).map { UInt8(truncatingIfNeeded: $0 / 1000) })
    let coding = try #require(HTTPField.Name(BlobCoding.header))
    try await coordinator.test { client in
      let file = try await client.upload(content)
      func download() async throws -> Answer {
        try await client.send(
          .get, "/v1/files/\(file.id)/content", headers: [coding: BlobCoding.planes])
      }
      let coded = try await download()
      #expect(coded.headers[coding] == BlobCoding.planes && coded.body.count < content.count)
      var decoder = BlobCoding.Decoder()
      let decoded = try decoder.take(coded.body)
      #expect(decoded == content)
      // The turn ends with the answer.
      let deadline = ContinuousClock.now + .seconds(60)
      while environment.codedDownloads.count > 0, .now < deadline { await Task.yield() }
      #expect(environment.codedDownloads.count == 0)
      var turns: [Turn] = []
      while let turn = environment.codedDownloads.take(key.id) { turns.append(turn) }
      #expect(turns.count == 4)
      let plain = try await download()
      #expect(plain.headers[coding] == nil && plain.body == content)
      turns = []
      #expect(try await download().headers[coding] == BlobCoding.planes)
    }
  }
}
