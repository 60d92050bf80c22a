/// OpenAI's fine-tuning objects and ours beside them, as far as the commands read them.
struct FineTuningJobObject: Decodable, Sendable {
  struct Failure: Decodable, Sendable {
    let code: String
    let message: String
  }

  /// What ids begin with.
  static let prefix = "ftjob-"

  let id: String
  let status: String
  let model: String
  let created_at: Int
  let fine_tuned_model: String?
  let trained_tokens: Int?
  let estimated_finish: Int?
  let result_files: [String]
  let error: Failure?

  /// Whether nothing more will happen to it.
  var hasEnded: Bool { ["succeeded", "failed", "cancelled"].contains(status) }
}

/// `GET /tally/v1/fine_tuning/jobs/{id}`.
struct FineTuningProgress: Decodable, Sendable {
  struct Round: Decodable, Sendable {
    let number: Int
    let train_loss: Double?
    let valid_loss: Double?
    let shards: Int
    let accepted: Int
    let joined: Int?
  }

  let job: FineTuningJobObject
  let paused: Bool
  let pool: String
  let rounds_planned: Int
  let steps_planned: Int
  let steps_done: Int
  let rounds: [Round]
  let units_accepted: Int
  let units_open: Int
  let units_lost: Int
  /// Nil from coordinators that do not say.
  let wait_reasons: [String]?
}

/// `POST /tally/v1/fine_tuning/estimates`.
struct FineTuningEstimateObject: Decodable, Sendable {
  let training_examples: Int
  let validation_examples: Int
  let shortened_examples: Int
  let tokens: Int
  let learnt_tokens: Int
  let parameters: Int
  let rounds: Int
  let shards: Int
  let steps: Int
  let train_units: Int
  let validate_units: Int
  let replicas: Int
  let worker_memory_bytes: Int
  let traffic_bytes: Int
  let model_bytes: Int
  let seconds: Double?
}

/// The body of `POST /v1/fine_tuning/jobs`.
struct FineTuningJobCreation: Encodable, Sendable {
  struct Method: Encodable, Sendable {
    struct Supervised: Encodable, Sendable {
      var hyperparameters: Hyperparameters
    }
    var type = "supervised"
    var supervised: Supervised
  }

  struct Hyperparameters: Encodable, Sendable {
    var n_epochs: Int?
    var batch_size: Int?
    var learning_rate_multiplier: Double?
    var rank: Int?
    var alpha: Double?
    var rank_stabilised: Bool?
    var target_modules: [String]?
    var max_tokens: Int?
    var hold_out: Double?
    var shards: Int?
    var local_steps: Int?
    var weight_decay: Double?
    var patience: Int?
  }

  var model: String
  var training_file: String
  var validation_file: String?
  var suffix: String?
  var seed: Int64?
  var metadata: [String: String]
  var method: Method
}
