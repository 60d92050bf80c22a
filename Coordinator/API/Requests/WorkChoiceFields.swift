import CoordinatorCore
import ModelFormats

/// What a batch's or job's metadata say to the coordinator: who may run it, what goes first, and
/// what becomes of a bad line.
enum WorkChoiceFields {
  private enum Key {
    static let pool = "tally_pool"
    static let priority = "tally_priority"
    static let skipBadLines = "tally_skip_bad_lines"
  }

  static func pool(_ metadata: ExactDictionary<String>?, _ fields: RequestFields) throws
    -> WorkPool
  {
    guard let word = metadata?[Key.pool] else { return .public }
    guard let pool = WorkPool(rawValue: word) else {
      throw fields.invalid("metadata", "\(Key.pool) is 'public' or 'trusted'")
    }
    return pool
  }

  /// Whether a line that is not a valid request fails alone, not the batch.
  static func skipsBadLines(_ metadata: ExactDictionary<String>?) -> Bool {
    metadata?[Key.skipBadLines] == "true"
  }

  static func checkSkipBadLines(
    _ metadata: ExactDictionary<String>?, _ fields: RequestFields
  ) throws {
    guard let word = metadata?[Key.skipBadLines] else { return }
    guard word == "true" || word == "false" else {
      throw fields.invalid("metadata", "\(Key.skipBadLines) is 'true' or 'false'")
    }
  }

  static func priority(_ metadata: ExactDictionary<String>?, _ fields: RequestFields) throws -> Int
  {
    guard let word = metadata?[Key.priority] else { return 0 }
    guard let priority = Int(word), (-100...100).contains(priority) else {
      throw fields.invalid("metadata", "\(Key.priority) is an integer from -100 to 100")
    }
    return priority
  }
}
