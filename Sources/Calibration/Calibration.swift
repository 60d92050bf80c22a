import Foundation
import Kernels
import ModelFormats
import Models

/// Rounds a model's weights so that its layers give what they gave on a text, as nearly as can be:
/// layer by layer, each on what the rounded layers before it give (`ErrorCompensation`).
///
/// What comes out depends on the library that factorises, in its last bits: a model is named by its
/// bytes, so that this shows nowhere.
package struct Calibration {
  private let files: ModelFiles
  private let plain: QuantisedTensorSource
  private let source: CalibratedTensorSource
  private let algebra: LinearAlgebra
  private let compute: Compute
  /// Columns of the tensors that are rounded.
  private let columns: [String: Int]
  private let availableBytes: () -> Int?
  /// Rows that are rounded together take this many weights at most.
  private static let slabWeights = 1 << 24

  /// - Parameters:
  ///   - files: with weights in floats.
  ///   - folder: for a temporary file, as large as the rounded weights.
  ///   - availableBytes: of memory at the moment of the call; nil: nobody knows. Decides whether
  ///     the run ends with an error, never what is rounded to what.
  ///   - compute: no executor may use it meanwhile.
  /// - Throws: `FormatError`, as `ModelFiles.rounded(to:)`.
  package init(
    _ files: ModelFiles, to format: RoundedFormat, _ algebra: LinearAlgebra, compute: Compute,
    folder: URL, availableBytes: @escaping () -> Int? = { nil }
  ) throws {
    self.files = files
    (self.algebra, self.compute) = (algebra, compute)
    self.availableBytes = availableBytes
    let plain = try files.quantised(to: format)
    self.plain = plain
    columns = try plain.formats.keys.reduce(into: [:]) {
      $0[$1] = try plain.tensor($1).shape.last
    }
    source = try CalibratedTensorSource(plain, folder: folder)
  }

  /// Texts that begin anew each: windows of a text's tokens.
  ///
  /// - Parameters:
  ///   - tokens: of the text; what lies beyond the last whole window is not used.
  ///   - beginning: the token that begins every window, if any.
  ///   - context: tokens of a window.
  ///   - limit: tokens that are used at most. Windows are spread over the whole text.
  /// - Throws: `CalibrationError.fewTokens`.
  package static func windows(
    of tokens: [Int32], beginning: Int32?, context: Int, limit: Int
  ) throws -> [[Int32]] {
    let all = tokens.count / context
    guard all > 0 else { throw CalibrationError.fewTokens(tokens.count, needed: context) }
    let count = min(all, max(1, limit / context))
    return (0..<count).map { index in
      let start = index * all / count * context
      var window = Array(tokens[start..<start + context])
      if let beginning { window[0] = beginning }
      return window
    }
  }

  /// The model with its weights rounded.
  ///
  /// - Parameters:
  ///   - windows: of tokens, each within the model's context.
  ///   - progress: called with the part of the work that is done.
  /// - Throws: `CalibrationError`, `FormatError`, `ForwardError`, `KernelError.outOfResources`.
  package func run(
    on windows: [[Int32]], progress: (_ layer: Int, _ fraction: Double) -> Void = { _, _ in }
  ) throws -> ModelFiles {
    let layers = files.description.layers.count
    let embedding = ModelPart(hasEmbedding: true, layers: 0..<0, hasHead: false)
    var activations = [Executor.Activations?](repeating: nil, count: windows.count)
    try run(embedding, of: plain, windows, &activations)
    for layer in 0..<layers {
      let part = ModelPart(hasEmbedding: false, layers: layer..<layer + 1, hasHead: false)
      func report(_ own: Double) { progress(layer, (Double(layer) + own) / Double(layers)) }
      let statistics = InputStatistics(
        columns: columns, algebra, availableBytes: availableBytes)
      try run(part, of: files.source, windows, &activations, observer: statistics) {
        report(0.4 * $0)
      }
      try round(statistics) { report(0.4 + 0.3 * $0) }
      try run(part, of: source, windows, &activations) { report(0.7 + 0.3 * $0) }
    }
    return files.replacing(source: source)
  }

  /// Runs every window through a part of the model.
  ///
  /// - Parameters:
  ///   - activations: of each window; become what the part gives, where nobody observes.
  ///   - observer: is told what goes into the part's matrices.
  private func run(
    _ part: ModelPart, of source: any TensorSource, _ windows: [[Int32]],
    _ activations: inout [Executor.Activations?], observer: InputStatistics? = nil,
    progress: (Double) -> Void = { _ in }
  ) throws {
    let model = try Model(part, of: files.description, from: source)
    let executor = Executor(model, compute: compute)
    executor.observer = observer
    for (index, window) in windows.enumerated() {
      let input = activations[index]
      let sequence = model.makeSequence(cache: .f32)
      let output = try executor.forward(
        [SequenceChunk(sequence, tokens: window, wanted: .none)], from: input)
      guard output.chunks.allSatisfy({ $0.firstNonFinitePosition == nil }) else {
        throw CalibrationError.nonFinite(layer: part.layers.lowerBound)
      }
      if let shortage = observer?.shortage {
        throw CalibrationError.outOfMemory(
          layer: part.layers.lowerBound, neededBytes: shortage.neededBytes,
          availableBytes: shortage.availableBytes)
      }
      if observer == nil { activations[index] = try output.activations?.copy(keeping: input) }
      progress(Double(index + 1) / Double(windows.count))
    }
  }

  /// Rounds everything that a layer's inputs were seen of.
  private func round(_ statistics: InputStatistics, progress: (Double) -> Void) throws {
    let total = statistics.sumOfMatrix.reduce(0) { $0 + $1.key.rows.count * $1.value.columns }
    var done = 0
    // One factor serves all matrices of a sum.
    for (_, group) in Dictionary(
      grouping: statistics.sumOfMatrix, by: { ObjectIdentifier($0.value) })
    {
      guard let (first, sum) = group.first, !sum.isZero else { continue }
      let compensation = try ErrorCompensation(sum, of: first.tensor, algebra)
      for (matrix, _) in group {
        try round(matrix, compensation, columns: sum.columns)
        done += matrix.rows.count * sum.columns
        progress(Double(done) / Double(total))
      }
    }
  }

  private func round(
    _ matrix: InputSite.Matrix, _ compensation: ErrorCompensation, columns: Int
  ) throws {
    guard let format = plain.formats[matrix.tensor] else { return }
    let rowBytes = try format.type.rowBytes(columns: columns)
    let step = max(1, Self.slabWeights / columns)
    for first in stride(from: matrix.rows.lowerBound, to: matrix.rows.upperBound, by: step) {
      let rows = first..<min(first + step, matrix.rows.upperBound)
      let bytes = compensation.rounded(
        try files.source.floats(matrix.tensor, rows: rows), to: format)
      try source.keep(bytes, of: matrix.tensor, at: first * rowBytes)
    }
  }
}

extension Executor.Activations {
  /// A copy that outlives the executor's next step, with what only later parts read.
  fileprivate func copy(keeping input: Executor.Activations?) throws -> Executor.Activations {
    var shared = input?.shared ?? [:]
    for (layer, pair) in self.shared { shared[layer] = pair }
    return Executor.Activations(
      hidden: try hidden.copy(),
      perLayerInputs: try input?.perLayerInputs ?? perLayerInputs?.copy(),
      shared: shared)
  }
}
