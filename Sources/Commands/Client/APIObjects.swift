import ModelFormats

/// OpenAI's objects, as far as the commands read them.
struct FileObject: Decodable, Sendable {
  let id: String
  let bytes: Int
  let filename: String
}

struct BatchObject: Decodable, Sendable {
  struct Counts: Decodable, Sendable {
    let total: Int
    let completed: Int
    let failed: Int
  }
  struct Errors: Decodable, Sendable {
    struct Item: Decodable, Sendable {
      let code: String?
      let line: Int?
      let message: String?
      let param: String?
    }
    let data: [Item]?
  }

  let id: String
  let status: String
  let endpoint: String
  let input_file_id: String
  let output_file_id: String?
  let error_file_id: String?
  let created_at: Int
  let expires_at: Int?
  let request_counts: Counts?
  let errors: Errors?

  /// Whether nothing more will happen to it.
  var hasEnded: Bool { ["completed", "failed", "expired", "cancelled"].contains(status) }

  var done: Int { (request_counts?.completed ?? 0) + (request_counts?.failed ?? 0) }

  /// Why it failed, a line each, by line number where there is one.
  var failures: [String] {
    (errors?.data ?? []).map { item in
      (item.line.map { "line \($0): " } ?? "") + (item.message ?? item.code ?? "unknown error")
    }
  }
}

/// One page of a list.
struct Page<Item: Decodable & Sendable>: Decodable, Sendable {
  let data: [Item]
  let has_more: Bool
}

/// The body of `POST /v1/batches`.
struct BatchCreation: Encodable, Sendable {
  let input_file_id: String
  let endpoint: String
  let completion_window: String
  let metadata: ExactDictionary<String>
}

/// `GET /tally/v1/batches/{id}`: what OpenAI's object has no place for.
struct ProgressObject: Decodable, Sendable {
  struct Units: Decodable, Sendable {
    let total, open, awaiting_replay, accepted, failed, cancelled: Int
  }
  struct Replicas: Decodable, Sendable {
    let running, waiting, accepted, rejected, lost: Int
  }

  let batch: BatchObject
  let pool: String
  let units: Units
  let replicas: Replicas
  let agreements: Int
  let replays: Int
  let waiting_requests: Int
  let wait_reasons: [String]
  let seconds_left: Int

  /// `8 units verified: 8 by agreement of two accounts, 0 by replay; 16 replicas accepted, 0
  /// rejected`
  var verificationSummary: String {
    let replicas =
      "\(replicas.accepted) \(replicas.accepted == 1 ? "replica" : "replicas") accepted, "
      + "\(replicas.rejected) rejected"
      + (replicas.lost > 0 ? ", \(replicas.lost) lost or not needed" : "")
    guard pool == "public" else {
      return
        "\(units.accepted) of \(units.total) units done in the trusted pool, one run each; "
        + "\(replicas)"
    }
    return
      "\(units.accepted) of \(units.total) units verified: \(agreements) by equal results of two "
      + "accounts, \(replays) by replay; \(replicas)"
  }
}
