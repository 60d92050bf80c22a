import ArgumentParser
import Execution
import FineTuning
import Foundation
import Models
import Tokenizers
import TrainingData

/// Fine-tuning on this machine alone.
extension FinetuneCommand {
  private struct Report: Encodable {
    var examples: Int
    var held_out_examples: Int
    var tokens: Int
    var learnt_tokens: Int
    var shortened_examples: Int
    var trainable_parameters: Int
    var steps: Int
    var loss_before: Double?
    var loss_after: Double?
    /// The epoch whose adapter was kept.
    var best_epoch: Int?
    var final_training_loss: Double?
    var seconds: Double?
    var estimated_seconds: Double?
    var tokens_per_second: Double?
    var peak_memory_bytes: Int
    var adapter: String?
  }

  /// On this machine.
  func runHere() throws {
    let folder = dryRun ? nil : try output.map(newFolder)
    let bundle = try TokenizerBundle(path: model)
    let memory = LocalMemory.now()
    let loaded = try packedCache.load(
      model, options: .init(weights: dequantize ? .float32 : .asStored))
    let dense = try DenseModel(loaded)
    let encoder = try ExampleEncoder(
      bundle, limit: min(maxTokens, loaded.description.contextLength),
      clock: try clock())
    var dataset = try read(data, encoder)
    let heldOut =
      if let validation { try read(validation, encoder).sequences } else {
        holdOut > 0 ? dataset.holdOut(share: holdOut, seed: seed) : []
      }
    let adapter = Adapter.initial(
      for: dense.description, rank: rank, alpha: alpha ?? Double(2 * rank),
      isRankStabilised: rankStabilised, kinds: try kinds(),
      seed: seed)
    let limits = try memory.trainingLimits(
      loaded, adapter,
      longest: (dataset.sequences + heldOut).reduce(0) { max($0, $1.tokens.count) },
      threads: compute.threadCount, wanted: Trainer.Limits(activationBytes: keepMegabytes << 20),
      advice: "choose a smaller --max-tokens, or let volunteers learn it")
    let trainer = try Trainer(
      FrozenModel(loaded), adapter, compute: try compute.makeCompute(), limits: limits)
    let run = LocalFineTuning(
      dataset: dataset, heldOut: heldOut,
      plan: .init(
        epochs: epochs, batchSize: batchSize, seed: seed,
        optimiser: OptimiserSettings(
          learningRate: learningRate, weightDecay: weightDecay, maximumNorm: maximumNorm)),
      trainer: trainer)
    var report = Report(
      examples: dataset.sequences.count, held_out_examples: heldOut.count,
      tokens: dataset.tokenCount,
      learnt_tokens: dataset.labelCount, shortened_examples: dataset.shortened,
      trainable_parameters: adapter.parameterCount, steps: run.stepCount, peak_memory_bytes: 0)
    if dryRun {
      let seconds = try run.trialSeconds()
      report.estimated_seconds = seconds * Double(run.stepCount)
      report.peak_memory_bytes = ProcessMemory.peakResidentBytes()
      return try show(report)
    }
    guard let folder else { return }
    try train(run, &report, dense, to: folder)
    try show(report)
  }

  /// Learns, with the loss on the terminal, and writes the adapter after every epoch.
  private func train(
    _ run: LocalFineTuning, _ report: inout Report, _ dense: DenseModel, to folder: URL
  ) throws {
    let clock = ContinuousClock()
    let start = clock.now
    report.loss_before = try run.heldOutLoss()
    var metrics = MetricsFile(folder.appendingPathComponent("training.csv"))
    var bar = ProgressBar()
    var last: LocalFineTuning.Step?
    var heldOutLoss = report.loss_before
    var (best, bestEpoch) = (Double.infinity, 0)
    try run.run(
      stepped: { step in
        last = step
        try metrics.add(step)
        var detail = String(format: "epoch %d, loss %.3f", step.epoch, step.loss)
        if let heldOutLoss { detail += String(format: ", held out %.3f", heldOutLoss) }
        detail += String(format: ", %.0f tokens/s", step.tokensPerSecond)
        bar.show(fraction: Double(step.number) / Double(step.of), detail: detail)
      },
      epochEnded: { epoch in
        try metrics.write()
        heldOutLoss = try run.heldOutLoss()
        guard run.trainer.adapter.norm.isFinite else { throw TrainingError.notFinite }
        // Without examples that are held out, the last adapter is taken for the best.
        guard heldOutLoss ?? -1 < best else { return epoch - bestEpoch < (patience ?? 1) }
        (best, bestEpoch) = (heldOutLoss ?? .infinity, epoch)
        try AdapterFolder.write(
          run.trainer.adapter, of: dense.description, baseModel: model, to: folder)
        return true
      })
    bar.finish()
    report.loss_after = heldOutLoss == nil ? nil : best
    report.best_epoch = bestEpoch
    report.steps = last?.number ?? 0
    report.final_training_loss = last?.loss
    report.tokens_per_second = last?.tokensPerSecond
    report.seconds = (clock.now - start).inSeconds
    report.peak_memory_bytes = ProcessMemory.peakResidentBytes()
    report.adapter = folder.path
  }

  private func read(_ path: String, _ encoder: ExampleEncoder) throws -> TrainingDataset {
    guard let handle = path == "-" ? .standardInput : FileHandle(forReadingAtPath: path) else {
      throw CommandError("\(path) cannot be read")
    }
    var reader = LineReader(handle)
    let lines = AnyIterator { reader.next().map { [UInt8]($0) } }
    let dataset = TrainingDataset(lines: lines, encoder)
    if let failure = reader.failure {
      throw CommandError("\(path) cannot be learnt from: \(failure)")
    }
    guard dataset.errors.isEmpty else {
      let shown = dataset.errors.prefix(10).map { "  \($0)" }.joined(separator: "\n")
      let more = dataset.errors.count > 10 ? "\n  and more" : ""
      throw CommandError("\(path) cannot be learnt from:\n\(shown)\(more)")
    }
    return dataset
  }

  private func show(_ report: Report) throws {
    if json { return try printJSON(report) }
    let out = Terminal.output
    var examples =
      "\(Spelled.count(report.examples)) examples, \(Spelled.count(report.tokens)) tokens, of "
      + "which \(Spelled.count(report.learnt_tokens)) are learnt"
    if report.held_out_examples > 0 {
      examples += "; \(Spelled.count(report.held_out_examples)) examples held out"
    }
    out.line(examples)
    if report.shortened_examples > 0 {
      out.line(
        "\(Spelled.count(report.shortened_examples)) examples reach --max-tokens \(maxTokens), "
          + "where they are cut off")
    }
    out.line(
      "\(Spelled.count(report.trainable_parameters)) parameters in \(Spelled.count(report.steps)) "
        + "steps")
    if let seconds = report.estimated_seconds {
      out.line(
        "would take about \(ProgressBar.duration(seconds)) and "
          + "\(Spelled.bytes(report.peak_memory_bytes)) of memory")
      return
    }
    if let before = report.loss_before, let after = report.loss_after {
      let epoch = report.best_epoch.map { " after epoch \($0)" } ?? ""
      out.line(
        String(
          format: "held-out loss %.4f%@, before %.4f (%+.1f %%)", after, epoch, before,
          100 * (after / before - 1)))
    }
    if let seconds = report.seconds, let rate = report.tokens_per_second {
      out.line(
        "took \(ProgressBar.duration(seconds)), \(String(format: "%.0f", rate)) tokens/s, "
          + "\(Spelled.bytes(report.peak_memory_bytes)) of memory")
    }
    if let adapter = report.adapter { out.line("the adapter is in \(adapter)") }
  }
}

/// The loss of every step, for whoever draws curves.
private struct MetricsFile {
  private let url: URL
  private var text = "step,epoch,train_loss,gradient_norm,tokens_per_second\n"

  init(_ url: URL) { self.url = url }

  mutating func add(_ step: LocalFineTuning.Step) throws {
    text += String(
      format: "%d,%d,%.6f,%.6f,%.1f\n", step.number, step.epoch, step.loss, step.gradientNorm,
      step.tokensPerSecond)
    if step.number % 20 == 0 { try write() }
  }

  func write() throws { try Data(text.utf8).write(to: url, options: .atomic) }
}
