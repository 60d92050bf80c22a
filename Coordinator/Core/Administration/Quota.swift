/// What an API key may use at most; nil means without a limit.
package struct Quota: Codable, Hashable, Sendable {
  /// Requests (lines of batches) in batches created within a day.
  package var requestsPerDay: Int?
  /// Tokens, read and generated, of batches created within a day; of one that runs, those that it
  /// may take. A batch that begins below the limit runs to its end.
  package var tokensPerDay: Int?
  /// Batches and fine-tuning jobs that have not ended.
  package var openBatches: Int?
  /// Bytes of stored files, inputs and results together, and of what is kept for fine-tuning jobs.
  package var storedBytes: Int?

  package init(
    requestsPerDay: Int? = nil, tokensPerDay: Int? = nil, openBatches: Int? = nil,
    storedBytes: Int? = nil
  ) {
    self.requestsPerDay = requestsPerDay
    self.tokensPerDay = tokensPerDay
    self.openBatches = openBatches
    self.storedBytes = storedBytes
  }

  /// Seconds of a "day": the last 24 hours, so that nothing is gained at midnight.
  package static let daySeconds = 86_400

  package var isUnlimited: Bool { self == Quota() }

  /// What a key uses now.
  package struct Usage: Codable, Hashable, Sendable {
    /// Requests and tokens of batches created within a day.
    package var requests: Int
    package var tokens: Int
    package var openBatches: Int
    package var storedBytes: Int

    package init(requests: Int = 0, tokens: Int = 0, openBatches: Int = 0, storedBytes: Int = 0) {
      self.requests = requests
      self.tokens = tokens
      self.openBatches = openBatches
      self.storedBytes = storedBytes
    }
  }

  /// What a key asks for.
  package enum Demand: Hashable, Sendable {
    case batch(requests: Int)
    case file(bytes: Int)
    /// A batch that was created and is about to run.
    case tokens
  }

  /// Whether a demand is met.
  package enum Verdict: Hashable, Sendable {
    case granted
    case refused(QuotaRefusal)
  }

  /// - Parameter usage: what the key uses without the demand.
  package func verdict(on demand: Demand, usage: Usage) -> Verdict {
    switch demand {
    case .file(let bytes):
      if let limit = storedBytes, Self.exceeds(usage.storedBytes, bytes, limit) {
        return refused(.storedBytes, limit, usage.storedBytes, bytes)
      }
    case .batch(let requests):
      if let limit = openBatches, Self.exceeds(usage.openBatches, 1, limit) {
        return refused(.openBatches, limit, usage.openBatches, 1)
      }
      if let limit = requestsPerDay, Self.exceeds(usage.requests, requests, limit) {
        return refused(.requestsPerDay, limit, usage.requests, requests)
      }
      // How many tokens a batch may take is known once it is validated.
      return verdict(on: .tokens, usage: usage)
    case .tokens:
      if let limit = tokensPerDay, usage.tokens >= limit {
        return refused(.tokensPerDay, limit, usage.tokens, 1)
      }
    }
    return .granted
  }

  private static func exceeds(_ used: Int, _ wanted: Int, _ limit: Int) -> Bool {
    let (sum, overflow) = used.addingReportingOverflow(max(0, wanted))
    return overflow || sum > limit
  }

  private func refused(
    _ resource: QuotaRefusal.Resource, _ limit: Int, _ used: Int, _ wanted: Int
  ) -> Verdict {
    .refused(QuotaRefusal(resource: resource, limit: limit, used: used, wanted: wanted))
  }
}

/// Why a quota refused something.
package struct QuotaRefusal: Error, Hashable, Sendable {
  /// What ran out.
  package enum Resource: String, Hashable, Sendable {
    case requestsPerDay
    case tokensPerDay
    case openBatches
    case storedBytes
  }
  package var resource: Resource
  package var limit: Int
  /// What the key used before, and what it asked for on top.
  package var used: Int
  package var wanted: Int

  package init(resource: Resource, limit: Int, used: Int, wanted: Int) {
    self.resource = resource
    self.limit = limit
    self.used = used
    self.wanted = wanted
  }

  /// Whether the same demand is met once time has passed, without anyone doing anything.
  package var passesWithTime: Bool {
    switch resource {
    case .storedBytes: false
    case .requestsPerDay, .openBatches: wanted <= limit
    case .tokensPerDay: limit > 0
    }
  }
}

extension QuotaRefusal: CustomStringConvertible {
  /// A sentence that says what ran out and what helps.
  package var description: String {
    switch resource {
    case .requestsPerDay where !passesWithTime:
      "This batch has \(wanted) requests, and this API key may make \(limit) a day. Split the "
        + "batch, or ask the operator for more."
    case .requestsPerDay:
      "This API key may make \(limit) requests a day: \(used) were made in the last 24 hours, and "
        + "this batch has \(wanted). Try again later, or ask the operator for more."
    case .tokensPerDay:
      "This API key may use \(limit) tokens a day, and the batches of the last 24 hours used, or "
        + "may use, \(used). Try again later, or ask the operator for more."
    case .openBatches:
      "This API key may have \(limit) batches open at the same time, and \(used) are. Wait until "
        + "one has ended, or cancel one."
    case .storedBytes:
      "This API key may store \(limit) bytes: its files and fine-tuning jobs take \(used), and "
        + "this would take \(wanted) more. Delete files that are not needed, or ask the operator "
        + "for more. What a cancelled job stored goes within days."
    }
  }
}
