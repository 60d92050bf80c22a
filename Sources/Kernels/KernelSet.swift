import CKernels

/// An instruction-set variant of the kernels. All give the same bits.
package enum KernelVariant: String, CaseIterable, Sendable {
  /// Scalar C with the fused multiply-add in software: the reference on any processor.
  case scalarSoftware = "scalar-software"
  /// Scalar C with the processor's fused multiply-add, where it has one.
  case scalar
  /// Vectors of 128 bits on any processor; without NEON the fused multiply-add is software.
  case portable
  case avx2
  case avx2VNNI = "avx2-vnni"
  case avx512
  case avx512VNNI = "avx512-vnni"

  var code: ck_variant {
    switch self {
    case .scalarSoftware: CK_SCALAR_SOFT
    case .scalar: CK_SCALAR
    case .portable: CK_PORTABLE
    case .avx2: CK_AVX2
    case .avx2VNNI: CK_AVX2_VNNI
    case .avx512: CK_AVX512
    case .avx512VNNI: CK_AVX512_VNNI
    }
  }

  /// True where it makes do without the vector instructions of x86 processors since about 2013.
  package var lacksExtensions: Bool {
    switch self {
    case .scalarSoftware, .scalar: true
    #if arch(x86_64)
      case .portable: true
    #else
      case .portable: false
    #endif
    case .avx2, .avx2VNNI, .avx512, .avx512VNNI: false
    }
  }

  /// What `TALLY_CPU` calls a variant: the family, without its optional extension.
  var family: String {
    switch self {
    case .scalarSoftware, .scalar: "scalar"
    case .portable: "portable"
    case .avx2, .avx2VNNI: "avx2"
    case .avx512, .avx512VNNI: "avx512"
    }
  }
}

/// The operations of one variant. A value, so that one process can hold several and compare them.
package struct KernelSet: Sendable {
  package let variant: KernelVariant
  /// Points at a constant of the C library: immutable, never freed, safe on any thread.
  nonisolated(unsafe) let table: UnsafePointer<ck_table>

  /// - Throws: `KernelError.unavailableVariant` if this machine cannot run it.
  package init(_ variant: KernelVariant) throws(KernelError) {
    guard let table = ck_table_of(variant.code) else {
      throw KernelError(
        code: .unavailableVariant,
        message: "this machine cannot run \(variant.rawValue); it can run "
          + KernelSet.available.map(\.rawValue).joined(separator: ", "))
    }
    self.variant = variant
    self.table = table
  }

  /// A variant with a table of the caller's, as it is needed to test what finds wrong kernels.
  ///
  /// - Parameter table: neither changed nor freed as long as the result lives.
  package init(_ variant: KernelVariant, table: UnsafePointer<ck_table>) {
    self.variant = variant
    self.table = table
  }

  /// The variants that this machine can run, slowest first.
  package static var available: [KernelVariant] {
    KernelVariant.allCases.filter { ck_table_of($0.code) != nil }
  }

  /// The values of `TALLY_CPU` that this machine can run, slowest first.
  package static var availableFamilies: [String] {
    available.map(\.family).reduce(into: []) { families, family in
      if !families.contains(family) { families.append(family) }
    }
  }

  /// The fastest variant, or the fastest of the family that `TALLY_CPU` (scalar, portable, avx2 or
  /// avx512) names.
  /// - Throws: `KernelError.unavailableVariant` if the name is unknown or this machine cannot run
  ///   it.
  package static func best(environment: [String: String]) throws(KernelError) -> KernelSet {
    let named = environment["TALLY_CPU"]
    guard let family = named, !family.isEmpty else {
      return try KernelSet(available.last ?? .scalarSoftware)
    }
    guard KernelVariant.allCases.contains(where: { $0.family == family }) else {
      throw KernelError(
        code: .unavailableVariant,
        message: "TALLY_CPU=\(family) is unknown; use scalar, portable, avx2 or avx512")
    }
    guard let variant = available.last(where: { $0.family == family }) else {
      throw KernelError(
        code: .unavailableVariant, message: "TALLY_CPU=\(family): this machine cannot run it")
    }
    return try KernelSet(variant)
  }
}
