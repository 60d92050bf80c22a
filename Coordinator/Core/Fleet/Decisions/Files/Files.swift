import WireProtocol

/// A file whose blob is durable is recorded.
package struct CreateFile: FleetEvent {
  package let file: NewFile

  package init(_ file: NewFile) { self.file = file }

  /// - Throws: `QuotaRefusal` when the key may not store that much.
  package func decide(in fleet: inout Fleet) throws -> FileRecord {
    try fleet.requireQuota(.file(bytes: file.bytes), key: file.keyID, at: fleet.now)
    return fleet.insertFile(file)
  }
}

/// A file is forgotten; false when there was none.
package struct DeleteFile: FleetEvent {
  package let id: String
  package let key: String

  package init(id: String, key: String) {
    self.id = id
    self.key = key
  }

  package func decide(in fleet: inout Fleet) throws -> Bool {
    guard let number = fleet.index.clients.files[id],
      fleet.files[number]?.record.keyID == key
    else { return false }
    fleet.remove(FileRow.self, number)
    return true
  }
}

/// Files that have expired are forgotten.
package struct ExpireFiles: FleetEvent {
  package init() {}

  package func decide(in fleet: inout Fleet) throws -> [DeletedFile] {
    var deleted: [DeletedFile] = []
    while let first = fleet.index.clients.fileEnds.first, first.time <= fleet.now {
      fleet.index.clients.fileEnds.removeFirst()
      guard let file = fleet.files[first.item]?.record, let end = file.expiresAt else { continue }
      guard end <= fleet.now else {
        fleet.index.clients.fileEnds.add(first.item, at: end)
        continue
      }
      fleet.remove(FileRow.self, first.item)
      deleted.append(DeletedFile(blob: file.blob, createdAt: file.createdAt))
    }
    return deleted
  }
}

extension Fleet {
  mutating func insertFile(_ file: NewFile) -> FileRecord {
    let record = FileRecord(
      id: newID("file-"), keyID: file.keyID, purpose: file.purpose, filename: file.filename,
      bytes: file.bytes, blob: file.blob, createdAt: now, expiresAt: file.expiresAt)
    put(FileRow(number: nextNumber("file"), record: record))
    return record
  }

  /// Nil when there is none, it expired, or it belongs to another key.
  package func file(_ id: String, key: String, at time: Timestamp) -> FileRecord? {
    guard let number = index.clients.files[id], let file = files[number]?.record,
      file.keyID == key, file.isThere(at: time)
    else { return nil }
    return file
  }

  /// - Throws: `StoreError.unknownCursor`.
  package func files(
    key: String, purpose: FilePurpose?, page: PageRequest, at time: Timestamp
  ) throws -> Page<FileRecord> {
    let numbers = index.clients.filesOfKey[key] ?? SortedArray()
    var after: Int64?
    if let id = page.after {
      guard let number = index.clients.files[id], files[number]?.record.keyID == key else {
        throw StoreError(.unknownCursor, "No item of this list has the id given as 'after'.")
      }
      after = number
    }
    func isWanted(_ file: FileRecord) -> Bool {
      file.isThere(at: time) && (purpose == nil || file.purpose == purpose)
    }
    var found: [FileRecord] = []
    let isRising = page.order == .ascending
    for place in numbers.indices {
      let number = numbers[isRising ? place : numbers.count - 1 - place]
      if let after, isRising ? number <= after : number >= after { continue }
      guard let file = files[number]?.record, isWanted(file) else { continue }
      found.append(file)
      if found.count > page.limit { break }
    }
    return Page(items: Array(found.prefix(page.limit)), hasMore: found.count > page.limit)
  }

  /// When a file expires next.
  package var nextFileEnd: Timestamp? { index.clients.fileEnds.first?.time }
}

extension FileRecord {
  func isThere(at time: Timestamp) -> Bool { expiresAt.map { $0 > time } ?? true }
}
