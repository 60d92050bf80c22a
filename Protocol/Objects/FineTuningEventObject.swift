/// OpenAI's `fine_tuning.job.event`.
package struct FineTuningEventObject: Codable, Hashable, Sendable {
  package var id: String
  package private(set) var object = "fine_tuning.job.event"
  package var createdAt: Int
  package var level: String
  package var message: String
  package var type: String
  @Nullable package var data: [String: Double]?

  package init(
    id: String, createdAt: Int, level: String, message: String, type: String,
    data: [String: Double]?
  ) {
    self.id = id
    self.createdAt = createdAt
    self.level = level
    self.message = message
    self.type = type
    self.data = data
  }

  private enum CodingKeys: String, CodingKey {
    case id, object, level, message, type, data
    case createdAt = "created_at"
  }
}
