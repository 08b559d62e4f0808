"""What the outputs of TensorFlow's operations are called, for those that have several.

In the body of a function an edge names an output, `node:h:0`, where a graph counts them, `node:6`. Which number a name
stands for is in the registry of operations (tensorflow/core/ops/*.cc). These are its operations with more than one
name; what is on no row has a single one, and counts from 0. `values*N` stands for as many outputs as the attribute N
says, or as its list has items.
"""

from __future__ import annotations

from functools import cache
from typing import Any

_ROWS = """
    ApproxTopK TopK TopKV2: values indices
    BarrierTakeMany: indices keys values*component_types
    Batch: batched_tensors*T batch_index id
    BatchNormWithGlobalNormalizationGrad: dx dm dv db dg
    BatchSelfAdjointEigV2 Eig SelfAdjointEigV2: e v
    BatchSvd Svd: s u v
    BlockLSTM BlockLSTMV2 LSTMBlockCell: i cs f o ci co h
    BlockLSTMGrad BlockLSTMGradV2: x_grad cs_prev_grad h_prev_grad w_grad wci_grad wcf_grad wco_grad b_grad
    BroadcastGradientArgs: r0 r1
    CSRSparseMatrixComponents: row_ptrs col_inds values
    CSRSparseMatrixToSparseTensor: indices values dense_shape
    CTCBeamSearchDecoder: decoded_indices*top_paths decoded_values*top_paths decoded_shape*top_paths log_probability
    CTCGreedyDecoder: decoded_indices decoded_values decoded_shape log_probability
    CTCLoss CTCLossV2: loss gradient
    CombinedNonMaxSuppression: nmsed_boxes nmsed_scores nmsed_classes valid_detections
    CudnnRNN: output output_h output_c reserve_space
    CudnnRNNBackprop CudnnRNNBackpropV2: input_backprop input_h_backprop input_c_backprop params_backprop
    CudnnRNNBackpropV3: input_backprop input_h_backprop input_c_backprop params_backprop
    CudnnRNNParamsToCanonical: weights*num_params biases*num_params
    CudnnRNNParamsToCanonicalV2: weights*num_params_weights biases*num_params_biases
    CudnnRNNV2 CudnnRNNV3: output output_h output_c reserve_space host_reserved
    DecodeProtoV2: sizes values*output_types
    DecodeWav: audio sample_rate
    DenseCountSparseOutput RaggedCountSparseOutput: output_indices output_values output_dense_shape
    SparseCountSparseOutput: output_indices output_values output_dense_shape
    DenseToDenseSetOperation DenseToSparseSetOperation: result_indices result_values result_shape
    SparseToSparseSetOperation: result_indices result_values result_shape
    DeserializeManySparse DeserializeSparse TakeManySparseFromTensorsMap: sparse_indices sparse_values sparse_shape
    FakeQuantWithMinMaxVarsGradient: backprops_wrt_input backprop_wrt_min backprop_wrt_max
    FakeQuantWithMinMaxVarsPerChannelGradient: backprops_wrt_input backprop_wrt_min backprop_wrt_max
    FractionalAvgPool FractionalMaxPool: output row_pooling_sequence col_pooling_sequence
    FusedBatchNorm FusedBatchNormV2: y batch_mean batch_variance reserve_space_1 reserve_space_2
    FusedBatchNormGrad FusedBatchNormGradV2: x_backprop scale_backprop offset_backprop reserve_space_3 reserve_space_4
    FusedBatchNormGradV3: x_backprop scale_backprop offset_backprop reserve_space_4 reserve_space_5
    FusedBatchNormV3: y batch_mean batch_variance reserve_space_1 reserve_space_2 reserve_space_3
    GRUBlockCell: r u c h
    GRUBlockCellGrad: d_x d_h_prev d_c_bar d_r_bar_u_bar
    GenerateBoundingBoxProposals: rois roi_probabilities
    GenerateVocabRemapping: remapping num_present
    IsotonicRegression: output segments
    LSTMBlockCellGrad: cs_prev_grad dicfo wci_grad wcf_grad wco_grad
    ListDiff: out idx
    LogMatrixDeterminant: sign log_abs_determinant
    LookupTableExport LookupTableExportV2 ReaderReadUpTo ReaderReadUpToV2: keys values
    Lu: lu p
    MapUnstageNoKey OrderedMapUnstageNoKey: key values*dtypes
    MaxPoolWithArgmax: output argmax
    Merge RefMerge: output value_index
    NonMaxSuppressionV4: selected_indices valid_outputs
    NonMaxSuppressionV5: selected_indices selected_scores valid_outputs
    ParseExample: sparse_indices*Nsparse sparse_values*sparse_types sparse_shapes*Nsparse dense_values*Tdense
    Qr: q r
    RaggedCross: output_values output_row_splits
    RaggedFillEmptyRows: output_value_rowids output_values empty_row_indicator reverse_index_map
    RaggedFillEmptyRowsGrad SparseFillEmptyRowsGrad: d_values d_default_value
    RaggedGather: output_nested_splits*OUTPUT_RAGGED_RANK output_dense_values
    RaggedRange: rt_nested_splits rt_dense_values
    RaggedTensorFromVariant: output_nested_splits*output_ragged_rank output_dense_values
    RaggedTensorToSparse: sparse_indices sparse_values sparse_dense_shape
    ReaderRead ReaderReadV2: key value
    RefSwitch Switch: output_false output_true
    SampleDistortedBoundingBox SampleDistortedBoundingBoxV2 StatelessSampleDistortedBoundingBox: begin size bboxes
    SoftmaxCrossEntropyWithLogits SparseSoftmaxCrossEntropyWithLogits: loss backprop
    SparseAccumulatorTakeGradient StringSplit StringSplitV2: indices values shape
    SparseAdd: sum_indices sum_values sum_shape
    SparseAddGrad: a_val_grad b_val_grad
    SparseConcat SparseCross SparseCrossHashed SparseCrossV2: output_indices output_values output_shape
    SparseReduceMaxSparse SparseReduceSumSparse SparseSlice: output_indices output_values output_shape
    SparseFillEmptyRows: output_indices output_values empty_row_indicator reverse_index_map
    SparseReorder SparseSparseMaximum SparseSparseMinimum: output_indices output_values
    SparseReshape: output_indices output_shape
    SparseSegmentMeanGradV2 SparseSegmentSqrtNGradV2 SparseSegmentSumGradV2: output sorted_unique_indices
    SparseSplit: output_indices*num_split output_values*num_split output_shape*num_split
    StatelessRandomGetKeyCounter: key counter
    StatelessRandomGetKeyCounterAlg: key counter alg
    StringNGrams: ngrams ngrams_splits
    TensorArrayConcat TensorArrayConcatV2 TensorArrayConcatV3: value lengths
    TensorArrayGradV3 TensorArrayGradWithShape: grad_handle flow_out
    TensorArrayV3: handle flow
    TensorListConcat TensorListConcatV2: tensor lengths
    TensorListPopBack: output_handle tensor
    TopKUnique TopKWithUnique: topk topk_indices
    UnicodeDecode: row_splits char_values
    UnicodeDecodeWithOffsets: row_splits char_values char_to_byte_starts
    Unique UniqueV2: y idx
    UniqueWithCounts UniqueWithCountsV2: y idx count
"""


@cache
def _table() -> dict[str, tuple[str, ...]]:
    rows = (row.split(":") for row in _ROWS.strip().splitlines())
    return {op: tuple(names.split()) for ops, names in rows for op in ops.split()}


def place(node: Any, label: str) -> int | None:
    """The number of the first output that a node has under a name.

    Args:
        node: a NodeDef.
        label: the name.

    Returns:
        0 for an op that is on no row; None where the op has no such output, or its node does not say how many come
        before it.
    """
    known = _table().get(node.op)
    if known is None:
        return 0
    number = 0
    for name, _, count in (entry.partition("*") for entry in known):
        if name == label:
            return number
        if count and count not in node.attr:
            return None
        number += _count(node.attr[count]) if count else 1
    return None


def several(op: str) -> bool:
    """Whether an op is known to have outputs of more than one name."""
    return op in _table()


def _count(value: Any) -> int:
    kind = value.WhichOneof("value")
    return len(value.list.type) if kind == "list" else max(0, int(value.i))
