import CoordinatorCore
import CoordinatorStore

/// OpenAI's `file`.
package struct FileObject: Encodable, Hashable, Sendable {
  package var id: String
  package let object = "file"
  package var bytes: Int
  /// Seconds since 1970.
  package var createdAt: Int
  @Nullable package var expiresAt: Int?
  package var filename: String
  package var purpose: String
  /// Always `processed`: clients that wait for processing poll until it is.
  package let status = "processed"
  @Nullable package var statusDetails: String?

  package init(_ record: FileRecord) {
    id = record.id
    bytes = record.bytes
    createdAt = record.createdAt.seconds
    expiresAt = record.expiresAt?.seconds
    filename = record.filename
    purpose = record.purpose.rawValue
    statusDetails = nil
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, bytes, filename, purpose, status
    case createdAt = "created_at"
    case expiresAt = "expires_at"
    case statusDetails = "status_details"
  }
}

/// OpenAI's `model`.
package struct ModelObject: Encodable, Hashable, Sendable {
  package var id: String
  package let object = "model"
  package var created: Int
  package var ownedBy: String
  package var tally: ModelOriginBody

  package init(_ record: ModelRecord) {
    id = record.id
    tally = ModelOriginBody(
      manifest: record.manifest.hex, source: record.source, licence: record.licence,
      baseModels: record.baseModels ?? [], adapter: record.adapter?.hex,
      fineTuningJob: record.fineTuningJob)
    created = record.createdAt.seconds
    ownedBy = record.ownedBy
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, created, tally
    case ownedBy = "owned_by"
  }
}
