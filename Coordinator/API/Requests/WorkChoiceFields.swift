import CoordinatorCore

/// What a batch's or job's metadata say to the coordinator: who may run it, and what goes first.
enum WorkChoiceFields {
  private enum Key {
    static let pool = "tally_pool"
    static let priority = "tally_priority"
  }

  static func pool(_ metadata: [String: String]?, _ fields: RequestFields) throws
    -> WorkPool
  {
    guard let word = metadata?[Key.pool] else { return .public }
    guard let pool = WorkPool(rawValue: word) else {
      throw fields.invalid("metadata", "\(Key.pool) is 'public' or 'trusted'")
    }
    return pool
  }

  static func priority(_ metadata: [String: String]?, _ fields: RequestFields) throws -> Int
  {
    guard let word = metadata?[Key.priority] else { return 0 }
    guard let priority = Int(word), (-100...100).contains(priority) else {
      throw fields.invalid("metadata", "\(Key.priority) is an integer from -100 to 100")
    }
    return priority
  }
}
