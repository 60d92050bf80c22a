import CoordinatorCore
import CoordinatorStore
import WireProtocol

/// What a job's models are called, as OpenAI spells such names, and what batches know of them.
struct TunedModel {
  /// `ft:MODEL:tallystick:SUFFIX:ID`; the suffix may be empty.
  let name: String
  private let job: FineTuningJobRecord

  init(_ job: FineTuningJobRecord) {
    self.job = job
    let suffix = (job.job.suffix ?? "").map { character in
      character.isASCII && (character.isLetter || character.isNumber || "-_.".contains(character))
        ? character : "-"
    }
    name = "ft:\(job.job.model):tallystick:\(String(suffix)):\(job.id.suffix(8))"
  }

  /// The name of the adapter after so many steps.
  func checkpoint(step: Int) -> String { "\(name):ckpt-step-\(step)" }

  /// The result's record.
  func record(adapter: Digest, base: ModelRecord, now: Timestamp) -> ModelRecord {
    var record = base
    record.id = name
    record.adapter = adapter
    record.ownerKeyID = job.job.keyID
    record.fineTuningJob = job.id
    record.ownedBy = "you"
    record.createdAt = now
    return record
  }

  /// A checkpoint's record.
  func record(
    adapter: Digest, step: Int, base: ModelRecord, now: Timestamp
  ) -> ModelRecord {
    var record = record(adapter: adapter, base: base, now: now)
    record.id = checkpoint(step: step)
    record.isCheckpoint = true
    return record
  }
}
