import CoordinatorAPI
import CoordinatorCore
import CoordinatorServer
import CoordinatorStore
import Foundation
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Logging
import TestSupport
import Testing
import WirePayloads
import WireProtocol

/// A key's quota bounds what lies on the disk, whatever is sent and how.
@Suite struct UploadQuotaTests {
  private static let quota = 1_000_000

  /// A data folder with one key that may store `quota` bytes.
  private struct Disk {
    let temporary: TemporaryFolder
    let folder: DataFolder

    init() async throws {
      temporary = try TemporaryFolder()
      folder = try DataFolder(opening: temporary.url)
      let key = try await folder.store.createKey(
        NewKey(name: "k", hash: BlobDigest.sha256(Array(TestCoordinator.key.utf8))),
        now: APIEnvironment.systemTime())
      try await folder.store.setQuota(Quota(storedBytes: UploadQuotaTests.quota), ofKey: key.id)
    }

    /// Bytes of everything under `blobs`, unfinished files too.
    var bytes: Int {
      let files = FileManager.default.enumerator(
        at: temporary.url.appending(path: "blobs"), includingPropertiesForKeys: [.fileSizeKey])
      return (files?.allObjects as? [URL] ?? []).reduce(0) {
        let values = try? $1.resourceValues(forKeys: [.fileSizeKey, .isRegularFileKey])
        return $0 + (values?.isRegularFile == true ? values?.fileSize ?? 0 : 0)
      }
    }

    func test(_ body: @Sendable (any TestClientProtocol) async throws -> Void) async throws {
      var logger = Logger(label: "test")
      logger.logLevel = .critical
      let router = APIRouter.make(folder.environment()) { _, _ in nil }
      try await Application(router: router, logger: logger).test(.router, body)
      try folder.store.close()
    }
  }

  /// One part of a form.
  private enum Part {
    case field(String, String)
    case file(Data)

    var bytes: Data {
      switch self {
      case .field(let name, let value):
        Data("--b\r\nContent-Disposition: form-data; name=\"\(name)\"\r\n\r\n\(value)\r\n".utf8)
      case .file(let content):
        Data(
          "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n".utf8)
          + content + Data("\r\n".utf8)
      }
    }
  }

  private static func post(
    _ parts: [Part], end: String = "--b--\r\n", _ client: any TestClientProtocol
  ) async throws -> Answer {
    try await client.send(
      .post, "/v1/files", headers: [.contentType: "multipart/form-data; boundary=b"],
      body: parts.reduce(Data()) { $0 + $1.bytes } + Data(end.utf8))
  }

  private static func content(_ seed: Int, _ bytes: Int = 600_000) -> Data {
    Data(repeating: UInt8(seed), count: bytes)
  }

  @Test("what is refused or broken leaves nothing, in whatever order its parts come")
  func refusedLeavesNothing() async throws {
    let disk = try await Disk()
    try await disk.test { client in
      let purpose = Part.field("purpose", "batch")
      let anchor = Part.field("expires_after[anchor]", "created_at")
      let cases: [([Part], String, Int)] = [
        ([purpose, .file(Self.content(1, 2_000_000))], "--b--\r\n", 429),
        ([.file(Self.content(2, 2_000_000)), purpose], "--b--\r\n", 429),
        ([.field("purpose", "x"), .file(Self.content(3))], "--b--\r\n", 400),
        ([.file(Self.content(4)), .field("purpose", "x")], "--b--\r\n", 400),
        ([.file(Self.content(5))], "--b--\r\n", 400),
        ([purpose, .file(Self.content(6)), anchor], "--b--\r\n", 400),
        (
          [purpose, .file(Self.content(7)), anchor, .field("expires_after[seconds]", "1")],
          "--b--\r\n", 400
        ),
        ([purpose, .file(Self.content(8)), purpose], "--b--\r\n", 400),
        (
          [purpose, .file(Self.content(9, 400_000)), .file(Self.content(9, 400_000))], "--b--\r\n",
          400
        ),
        ([purpose, .file(Self.content(10)), .field("unknown", "x")], "--b--\r\n", 400),
        ([purpose, .file(Self.content(11))], "", 400),
        ([purpose, .file(Self.content(12))], "--b", 400),
      ]
      for (number, (parts, end, status)) in cases.enumerated() {
        let answer = try await Self.post(parts, end: end, client)
        #expect(
          answer.status == status, "case \(number): \(String(decoding: answer.body, as: UTF8.self))"
        )
        #expect(disk.bytes == 0, "case \(number)")
      }
      let good = try await Self.post([.file(Self.content(13)), purpose], client)
      #expect(good.status == 200)
      #expect(disk.bytes == Self.content(13).count)
    }
  }

  @Test("many uploads at once together keep to the quota")
  func parallelUploads() async throws {
    let disk = try await Disk()
    try await disk.test { client in
      let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
        for seed in 0..<12 {
          group.addTask {
            try await Self.post(
              [.field("purpose", "batch"), .file(Self.content(seed, 400_000))], client
            ).status
          }
        }
        return try await group.reduce(into: []) { $0.append($1) }
      }
      let taken = statuses.count { $0 == 200 }
      #expect(Set(statuses).isSubset(of: [200, 429]) && taken <= 2)
      #expect(disk.bytes == taken * 400_000)
    }
  }

  @Test("a deleted file gives its bytes back at once, also to the disk")
  func deletedFilesGo() async throws {
    let disk = try await Disk()
    try await disk.test { client in
      for seed in 0..<5 {
        let made = try await Self.post(
          [.field("purpose", "batch"), .file(Self.content(seed, 900_000))], client)
        #expect(made.status == 200)
        #expect(try await client.send(.delete, "/v1/files/\(made.id)").status == 200)
        #expect(disk.bytes == 0)
      }
    }
  }

  @Test("bytes that another file has stay when one of them is deleted or refused")
  func sharedBytesStay() async throws {
    let disk = try await Disk()
    try await disk.test { client in
      let parts = [Part.field("purpose", "batch"), .file(Self.content(1, 400_000))]
      let first = try await Self.post(parts, client)
      let second = try await Self.post(parts, client)
      #expect(first.status == 200 && second.status == 200)
      #expect(try await Self.post(parts, client).status == 429)
      #expect(try await client.send(.delete, "/v1/files/\(first.id)").status == 200)
      let content = try await client.send(.get, "/v1/files/\(second.id)/content")
      #expect(content.body == Self.content(1, 400_000))
    }
  }
}

/// Blobs that are about to be named.
@Suite struct BlobClaimsTests {
  private struct Refused: Error {}

  @Test("a blob that could not be named goes, unless somebody else names it meanwhile")
  func unnamedBlobsGo() async throws {
    let coordinator = try await TestCoordinator()
    let (claims, blobs) = (coordinator.environment.claims, coordinator.blobs)
    let data = Data("result".utf8)
    let digest = BlobDigest.sha256(data)
    /// Stores the blob, but is refused when it is to be named.
    @Sendable func isRefused(_ meanwhile: @Sendable () async throws -> Void = {}) async -> Bool {
      do {
        try await claims.naming(digest) {
          _ = try await blobs.put(data)
        } name: {
          try await meanwhile()
          throw Refused()
        }
        return false
      } catch {
        return error is Refused
      }
    }
    #expect(await isRefused())
    #expect(try await !blobs.contains(digest))

    // Two at once: one is refused while the other is about to name the same bytes.
    let both = await isRefused { () async throws -> Void in
      #expect(await isRefused())
      #expect(try await blobs.contains(digest))
    }
    #expect(both)
    #expect(try await !blobs.contains(digest))

    // What was there before is not the refused one's to remove.
    _ = try await blobs.put(data)
    #expect(await isRefused())
    #expect(try await blobs.contains(digest))
  }
}
