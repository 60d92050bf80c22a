import WireProtocol

/// What a file is for, in OpenAI's words.
package enum FilePurpose: String, Hashable, Sendable, Codable, CaseIterable {
  case batch
  case batchOutput = "batch_output"
  case fineTune = "fine-tune"
  case fineTuneResults = "fine-tune-results"
}

/// A file to be recorded; its bytes are already a durable blob.
package struct NewFile: Hashable, Sendable {
  /// The API key that owns it.
  package var keyID: String
  package var purpose: FilePurpose
  package var filename: String
  package var bytes: Int
  package var blob: Digest
  package var expiresAt: Timestamp?

  package init(
    keyID: String, purpose: FilePurpose, filename: String, bytes: Int, blob: Digest,
    expiresAt: Timestamp? = nil
  ) {
    self.keyID = keyID
    self.purpose = purpose
    self.filename = filename
    self.bytes = bytes
    self.blob = blob
    self.expiresAt = expiresAt
  }
}

/// A file of the Files API.
package struct FileRecord: Hashable, Sendable {
  /// `file-` and 24 letters or digits.
  package var id: String
  package var keyID: String
  package var purpose: FilePurpose
  package var filename: String
  package var bytes: Int
  package var blob: Digest
  package var createdAt: Timestamp
  package var expiresAt: Timestamp?

  package init(
    id: String, keyID: String, purpose: FilePurpose, filename: String, bytes: Int, blob: Digest,
    createdAt: Timestamp, expiresAt: Timestamp? = nil
  ) {
    self.id = id
    self.keyID = keyID
    self.purpose = purpose
    self.filename = filename
    self.bytes = bytes
    self.blob = blob
    self.createdAt = createdAt
    self.expiresAt = expiresAt
  }
}

/// What a file leaves behind that expired or was deleted.
package struct DeletedFile: Hashable, Sendable {
  package var blob: Digest
  package var createdAt: Timestamp

  package init(
    blob: Digest, createdAt: Timestamp
  ) {
    self.blob = blob
    self.createdAt = createdAt
  }
}
