import WireProtocol

/// Keys, files and models by what they are looked up by.
package struct ClientIndex: Sendable {
  package var keys: [Digest: String] = [:]
  package var files: [String: Int64] = [:]
  package var filesOfKey: [String: SortedArray<Int64>] = [:]
  package var filesOfBlob = SetMap<Digest, Int64>()
  package var fileEnds = DueQueue<Int64>()
  /// Manifests by the blobs that workers may fetch of them, and by tokenizer.
  package var modelBlobs = SetMap<Digest, Digest>()
  package var tokenizers = SetMap<Digest, Digest>()
  /// Tuned models by adapter.
  package var adapters = SetMap<Digest, String>()

  mutating func reindex(file old: FileRow?, to new: FileRow?) {
    if let old {
      files[old.record.id] = nil
      filesOfBlob.remove(old.number, under: old.record.blob)
      filesOfKey[old.record.keyID]?.remove(old.number)
    }
    if let new {
      files[new.record.id] = new.number
      filesOfBlob.insert(new.number, under: new.record.blob)
      filesOfKey[new.record.keyID, default: SortedArray()].insert(new.number)
      if let end = new.record.expiresAt, end != old?.record.expiresAt {
        fileEnds.add(new.number, at: end)
      }
    }
  }
}
