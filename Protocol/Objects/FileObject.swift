
/// OpenAI's `file`.
package struct FileObject: Codable, Hashable, Sendable {
  package var id: String
  package private(set) var object = "file"
  package var bytes: Int
  /// Seconds since 1970.
  package var createdAt: Int
  @Nullable package var expiresAt: Int?
  package var filename: String
  package var purpose: String
  /// Always `processed`: clients that wait for processing poll until it is.
  package private(set) var status = "processed"
  @Nullable package var statusDetails: String?

  package init(
    id: String, bytes: Int, createdAt: Int, expiresAt: Int?, filename: String, purpose: String,
    statusDetails: String?
  ) {
    self.id = id
    self.bytes = bytes
    self.createdAt = createdAt
    self.expiresAt = expiresAt
    self.filename = filename
    self.purpose = purpose
    self.statusDetails = statusDetails
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, bytes, filename, purpose, status
    case createdAt = "created_at"
    case expiresAt = "expires_at"
    case statusDetails = "status_details"
  }
}
