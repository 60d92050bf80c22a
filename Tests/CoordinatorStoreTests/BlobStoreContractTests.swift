import CoordinatorCore
import CoordinatorStore
import Foundation
import TestSupport
import Testing
import WirePayloads
import WireProtocol

@Suite("Blob store contract")
struct BlobStoreContractTests {
  enum Kind: CaseIterable { case memory, folder }

  private func with(_ kind: Kind, _ body: (any BlobStore) async throws -> Void) async throws {
    switch kind {
    case .memory: try await body(MemoryBlobStore())
    case .folder:
      let folder = try TemporaryFolder()
      try await body(try FolderBlobStore(folder: folder.url.appendingPathComponent("blobs")))
    }
  }

  @Test("what is put is read back, whole and in ranges", arguments: Kind.allCases)
  func roundTrip(kind: Kind) async throws {
    try await with(kind) { blobs async throws in
      var random = SeededRandom(seed: 1)
      for count in [0, 1, 4095, 300_000] {
        let data = Data(random.bytes(count))
        let digest = try await blobs.put(data)
        #expect(digest == BlobDigest.sha256(data))
        #expect(try await blobs.put(data) == digest)
        #expect(try await blobs.size(of: digest) == count)
        #expect(try await blobs.read(digest) == data)
        let range = count / 3..<count / 2
        #expect(try await blobs.read(digest, range: range) == Data(data[range]))
        await #expect {
          try await blobs.read(digest, range: 0..<count + 1)
        } throws: { ($0 as? StoreError)?.code == .invalid }
        let later = Timestamp(milliseconds: .max)
        #expect(try await !blobs.remove(digest, unlessWrittenSince: Timestamp(milliseconds: 0)))
        #expect(try await blobs.remove(digest, unlessWrittenSince: later))
        #expect(try await !blobs.remove(digest, unlessWrittenSince: later))
        #expect(try await !blobs.contains(digest))
      }
    }
  }

  @Test("a missing blob is missing", arguments: Kind.allCases)
  func missing(kind: Kind) async throws {
    try await with(kind) { blobs async throws in
      let digest = BlobDigest.sha256(Data("nothing".utf8))
      #expect(try await blobs.size(of: digest) == nil)
      await #expect {
        try await blobs.read(digest)
      } throws: { ($0 as? StoreError)?.code == .notFound }
    }
  }

  @Test("a writer gives the digest of all pieces", arguments: Kind.allCases)
  func streaming(kind: Kind) async throws {
    try await with(kind) { blobs async throws in
      var random = SeededRandom(seed: 2)
      let writer = try await blobs.makeWriter()
      var whole = Data()
      for _ in 0..<20 {
        let piece = Data(random.bytes(Int.random(in: 0...50_000, using: &random)))
        try await writer.write(piece)
        whole += piece
      }
      let (digest, bytes) = try await writer.finish()
      #expect(digest == BlobDigest.sha256(whole) && bytes == whole.count)
      #expect(try await blobs.read(digest) == whole)
      await #expect(throws: StoreError.self) { try await writer.write(whole) }
      await #expect(throws: StoreError.self) { try await writer.finish() }
    }
  }

  @Test("bytes that are not what was announced are not stored", arguments: Kind.allCases)
  func unexpected(kind: Kind) async throws {
    try await with(kind) { blobs async throws in
      let writer = try await blobs.makeWriter()
      try await writer.write(Data("one".utf8))
      let announced = BlobDigest.sha256(Data("two".utf8))
      await #expect {
        try await writer.finish(expected: announced)
      } throws: { ($0 as? StoreError)?.code == .invalid }
      #expect(try await !blobs.contains(announced))
      #expect(try await !blobs.contains(BlobDigest.sha256(Data("one".utf8))))
    }
  }

  @Test("unfinished writers leave nothing, and abandoned files are swept")
  func leftovers() async throws {
    let folder = try TemporaryFolder()
    let blobs = try FolderBlobStore(folder: folder.url)
    let temporary = folder.url.appendingPathComponent("temporary")
    func names() throws -> [String] {
      try FileManager.default.contentsOfDirectory(atPath: temporary.path)
    }
    do {
      let writer = try await blobs.makeWriter()
      try await writer.write(Data("half".utf8))
      #expect(try names().count == 1)
      await writer.cancel()
    }
    #expect(try names().isEmpty)
    try Data("half".utf8).write(to: temporary.appendingPathComponent("of a killed process"))
    try blobs.removeAbandoned(before: Date(timeIntervalSinceNow: -60))
    #expect(try names().count == 1)
    try blobs.removeAbandoned(before: Date(timeIntervalSinceNow: 60))
    #expect(try names().isEmpty)
  }

  @Test("a blob lies in the folder of its first two digits and is readable by its owner only")
  func layout() async throws {
    let folder = try TemporaryFolder()
    let blobs = try FolderBlobStore(folder: folder.url)
    let digest = try await blobs.put(Data("abc".utf8))
    let path = folder.url.path + "/ba/" + digest.hex
    #expect(blobs.path(of: digest) == path)
    let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    #expect(mode == 0o600)
  }
}
