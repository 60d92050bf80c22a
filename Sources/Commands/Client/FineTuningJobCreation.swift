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
