import Kernels
import ModelFormats
import Models
import WireProtocol

/// Computes with the kernels of this machine's processor.
///
/// Each unit has a thread pool of its own, whose threads begin with the priority of the thread that
/// runs the unit.
package final class CPUEngine: UnitEngine {
  package let kernels: KernelSet
  private let gate = ComputeGate()

  package init(kernels: KernelSet) { self.kernels = kernels }

  /// - Parameter environment: `TALLY_CPU` forces an instruction set.
  /// - Throws: `KernelError` for an instruction set that this machine cannot run.
  package convenience init(environment: [String: String]) throws {
    self.init(kernels: try KernelSet.best(environment: environment))
  }

  /// Packed files of stores are hashed whole before they are used: a disk that lies must not make
  /// an honest worker's results wrong.
  package func load(
    _ origin: ModelOrigin, part: UnitPart?, within memory: MemoryAllowance
  ) throws -> any LoadedModel {
    let model =
      switch origin {
      case .store(let stored): try load(stored, part, memory)
      case .files(let path, let folder): try load(path, folder, part, memory)
      }
    return CPUModel(model, kernels: kernels, gate: gate)
  }

  package func limit(_ limit: ComputeGate.Limit) { gate.set(limit) }

  private func load(
    _ stored: StoredModel, _ unitPart: UnitPart?, _ memory: MemoryAllowance
  ) throws -> Model {
    let source = try stored.source()
    let description = source.manifest.description
    let part = try ModelPart(unitPart, of: description)
    try memory.checkWeights(stored: source.manifest.byteCount(of: part)) {
      try PackedModelFile.leastByteCount(description, part: part, from: source)
    }
    guard let path = stored.packedPath else {
      return try Model(part, of: description, from: source)
    }
    let place = PackedModelPlace(path: path, key: stored.packedKey(unitPart), isVerified: true)
    return try Model(description, part: part, packedAt: place, from: source)
  }

  /// Weights in a folder's packed file need not stay in memory: for their size nothing is refused.
  private func load(
    _ path: String, _ folder: PackedModelFolder?, _ unitPart: UnitPart?, _ memory: MemoryAllowance
  ) throws -> Model {
    if let folder, unitPart == nil { return try folder.load(path: path) }
    let files = try ModelFiles(path: path)
    let part = try ModelPart(unitPart, of: files.description)
    let bytes = try PackedModelFile.leastByteCount(
      files.description, part: part, from: files.source)
    try memory.checkWeights(stored: bytes) { bytes }
    return try Model(part, of: files.description, from: files.source)
  }
}
