import CoordinatorCore
import CoordinatorStore
import ModelFormats
import Models
import WireProtocol

/// The body of `POST /v1/fine_tuning/jobs`, checked as far as it can be without the store.
struct FineTuningCreation {
  var model: String
  var trainingFileID: String
  var validationFileID: String?
  var suffix: String?
  var seed: Int64?
  var options: FineTuningOptions
  var metadata: ExactDictionary<String>?
  var pool: WorkPool
  var priority: Int

  /// Metadata keys that mean something to the coordinator.
  enum Key {
    static let dataLicence = "tally_data_licence"
    static let dataSource = "tally_data_source"
  }

  /// - Throws: `FieldError`.
  init(_ fields: RequestFields) throws {
    let known = [
      "model", "training_file", "validation_file", "suffix", "seed", "metadata", "method",
      "hyperparameters", "integrations",
    ]
    for key in fields.keys where !known.contains(key) {
      throw FieldError(
        code: "unknown_parameter", message: "Unknown parameter: '\(key.prefix(64))'.",
        param: String(key.prefix(64)))
    }
    if let integrations = try fields.array("integrations"), !integrations.isEmpty {
      throw fields.unsupported("integrations", "metrics are in the job's events and result files")
    }
    model = try fields.requiredString("model")
    trainingFileID = try fields.requiredString("training_file")
    validationFileID = try fields.string("validation_file")
    suffix = try fields.string("suffix").map { text in
      guard (1...64).contains(text.unicodeScalars.count) else {
        throw fields.invalid("suffix", "expected 1 to 64 characters")
      }
      do throws(Name.Fault) {
        return try Name.checked(text)
      } catch {
        throw fields.invalid("suffix", "it \(error.description)")
      }
    }
    seed = try fields.integer("seed", in: 0...Int(Int32.max)).map { Int64($0) }
    metadata = try fields.metadata()
    pool = try WorkChoiceFields.pool(metadata, fields)
    priority = try WorkChoiceFields.priority(metadata, fields)
    options = FineTuningOptions()
    if let old = try fields.object("hyperparameters") { try options.read(old) }
    guard let method = try fields.object("method") else { return }
    let type = try method.requiredString("type")
    guard type == "supervised" else {
      throw method.invalid("type", "'\(type.prefix(50))' is not done here, only 'supervised'")
    }
    if let parameters = try method.object("supervised")?.object("hyperparameters") {
      try options.read(parameters)
    }
  }
}

extension FineTuningOptions {
  /// OpenAI's three hyperparameters, and ours beside them; `auto` counts as absent.
  fileprivate mutating func read(_ fields: RequestFields) throws {
    let known = [
      "n_epochs", "batch_size", "learning_rate_multiplier", "rank", "alpha", "rank_stabilised",
      "target_modules", "max_tokens", "hold_out", "shards", "local_steps", "outer_learning_rate",
      "outer_momentum", "weight_decay", "patience",
    ]
    for key in fields.keys where !known.contains(key) {
      throw FieldError(
        code: "unknown_parameter", message: "Unknown parameter: '\(fields.name(key).prefix(100))'.",
        param: String(fields.name(key).prefix(100)))
    }
    func isAuto(_ key: String) -> Bool { fields.value(key)?.stringValue == "auto" }
    func integer(_ key: String, _ range: ClosedRange<Int>) throws -> Int? {
      isAuto(key) ? nil : try fields.integer(key, in: range)
    }
    func number(_ key: String, _ range: ClosedRange<Double>) throws -> Double? {
      isAuto(key) ? nil : try fields.number(key, in: range)
    }
    epochs = try integer("n_epochs", 1...1000) ?? epochs
    batchSize = try integer("batch_size", 1...1024) ?? batchSize
    learningRateMultiplier =
      try number("learning_rate_multiplier", 1e-6...1e4) ?? learningRateMultiplier
    rank = try integer("rank", 1...1024) ?? rank
    alpha = try number("alpha", 1e-6...1e6) ?? alpha
    if !isAuto("rank_stabilised") {
      isRankStabilised = try fields.bool("rank_stabilised") ?? isRankStabilised
    }
    maximumTokens = try integer("max_tokens", 2...1 << 20) ?? maximumTokens
    holdOut = try number("hold_out", 0...0.9) ?? holdOut
    shards = try integer("shards", 1...1024) ?? shards
    localSteps = try integer("local_steps", 1...1 << 16) ?? localSteps
    outerLearningRate = try number("outer_learning_rate", 1e-6...10) ?? outerLearningRate
    outerMomentum = try number("outer_momentum", 0...0.999) ?? outerMomentum
    weightDecay = try number("weight_decay", 0...100) ?? weightDecay
    patience = try integer("patience", 1...1 << 20) ?? patience
    if !isAuto("target_modules"), let names = try fields.array("target_modules") {
      targets = try names.map { name in
        guard let kind = name.stringValue.flatMap(LinearKind.init(rawValue:)) else {
          let all = LinearKind.allCases.map(\.rawValue).joined(separator: ", ")
          throw fields.invalid("target_modules", "known are \(all)")
        }
        return kind.rawValue
      }
      if targets?.isEmpty == true { throw fields.invalid("target_modules", "nothing is named") }
    }
  }
}
