import CoordinatorCore
import CoordinatorStore
import ModelFormats
import Foundation
import WireProtocol

/// A job that is about to succeed, for people: its table of metrics and the card of its model.
struct FineTuningReport {
  let job: FineTuningJobRecord
  let plan: FineTuningPlan
  let base: ModelRecord
  let rounds: [FineTuningRoundRecord]
  let chosen: Int

  /// OpenAI's columns; a row for each step. Accuracies are not measured.
  var csv: String {
    var text = "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy\n"
    if let loss = rounds.first?.validationLoss { text += "0,,,\(number(loss)),\n" }
    for (round, next) in zip(rounds, rounds.dropFirst()) {
      guard let losses = round.metrics?.losses else { continue }
      let start = round.number == 0 ? 0 : plan.steps(through: round.number - 1)
      for (step, loss) in losses.enumerated() {
        let held = step == losses.count - 1 ? next.validationLoss.map(number) ?? "" : ""
        text += "\(start + step + 1),\(number(loss)),,\(held),\n"
      }
    }
    return text
  }

  private func number(_ value: Double) -> String { String(format: "%.6f", value) }

  /// Accounts whose machines gave results that counted: those that agreed to be named, and whether
  /// there are others.
  private var contributors: (named: [String], hasOthers: Bool) {
    let units = rounds.flatMap(\.units).filter { $0.isJoined || $0.kind == .validate }
    let named = Set(units.flatMap(\.accounts)).sorted()
    return (named, units.contains { $0.unnamedAccounts > 0 })
  }

  /// The front matter's fields are those of the Hugging Face hub.
  func card(files: FineTuningFileHashes) -> String {
    let metadata = job.job.metadata ?? [:]
    var head = [
      "library_name: peft", "base_model: \(yaml(base.publicName))", "tags:", "- lora",
      "- tallystick",
    ]
    if let licence = base.licence { head.append("license: \(yaml(licence))") }
    let dataLicence = metadata[FineTuningCreation.Key.dataLicence] ?? "not stated"
    var text =
      "---\n\(head.joined(separator: "\n"))\n---\n\n# \(markdown(TunedModel(job).name))\n\n"
    text += "A LoRA adapter of \(markdown(base.publicName)), trained by volunteers' machines with "
    text += "Tallystick. Every step was computed by machines that gave the same bits, and the run "
    text += "can be repeated to the last bit: `tally audit \(job.id)`.\n\n"
    text += "## What it is made of\n\n| | |\n|---|---|\n"
    func row(_ name: String, _ value: String) { text += "| \(name) | \(markdown(value)) |\n" }
    row("Base model", base.source)
    row("Its licence", base.licence ?? "not stated")
    row("Its manifest (SHA-256)", plan.model.hex)
    row("Training file (SHA-256)", job.job.trainingBlob.hex)
    if let blob = job.job.validationBlob { row("Validation file (SHA-256)", blob.hex) }
    row("Licence of the data", dataLicence)
    if let source = metadata[FineTuningCreation.Key.dataSource] {
      row("Source of the data", source)
    }
    row("Examples learnt, held out", "\(plan.trainingExamples), \(plan.validationExamples)")
    row("Adapter as units name it (SHA-256)", rounds[chosen].adapter.hex)
    for file in files.entries { row(file.name, file.digest.hex) }
    text += "\n## How it was trained\n\n| | |\n|---|---|\n"
    row(
      "Rank, alpha",
      "\(plan.rank), \(plan.alpha)\(plan.isRankStabilised ? ", rank-stabilised" : "")")
    row("Matrices", plan.targets.joined(separator: ", "))
    row("Epochs, examples of a step", "\(plan.epochs), \(plan.batchSize)")
    row(
      "Rounds, shards, steps of a shard",
      "\(rounds.count - 1), \(plan.shards), \(plan.localSteps) at most")
    row("Learning rate (AdamW)", "\(plan.learningRate)")
    row(
      "Outer learning rate, momentum (Nesterov)", "\(plan.outerLearningRate), \(plan.outerMomentum)"
    )
    row("Seed", "\(plan.seed)")
    if let before = rounds.first?.validationLoss, let after = rounds[chosen].validationLoss {
      row("Held-out loss, before and after", String(format: "%.4f, %.4f", before, after))
    }
    let (named, hasOthers) = contributors
    text += "\n## Who computed it\n\n"
    text += named.isEmpty ? "" : named.map { "- \(markdown($0))\n" }.joined() + "\n"
    if hasOthers {
      text += "\(named.isEmpty ? "People" : "And others") who did not ask to be named.\n"
    }
    return text
  }

  /// A text as a YAML scalar.
  private func yaml(_ text: String) -> String {
    let line = text.filter { !$0.isNewline }
    return "\"\(line.replacing("\\", with: "\\\\").replacing("\"", with: "\\\""))\""
  }

  /// A text that stays in its place, whoever wrote it.
  private func markdown(_ text: String) -> String {
    var result = ""
    for character in text where !character.isNewline {
      if "\\`*_{}[]<>#|!".contains(character) { result.append("\\") }
      result.append(character)
    }
    return result
  }
}

/// Files that a card names by their hashes.
struct FineTuningFileHashes {
  var entries: [(name: String, digest: Digest)]
}

extension ModelRecord {
  /// The name on the Hugging Face hub, where the model came from there.
  var publicName: String {
    guard source.hasPrefix("hf:") else { return id }
    return String(source.dropFirst(3).prefix { $0 != "@" && $0 != " " })
  }
}
