"""A tiny kuairec_binary folder: 4 users, 5 videos; users 10 and 12 on videos 1 and 3 are the block."""

import gzip

FILES = {
    "log_positives.csv.gz": "user_id,video_id\n10,2\n10,2\n12,0\n11,1\n11,1\n11,3\n13,3\n13,4\n10,4\n",
    "truth_positives.csv.gz": "user_id,video_id\n12,3\n10,1\n12,1\n",
    "truth_videos.csv": "video_id\n3\n1\n",
    "item_categories.csv": 'video_id,feat\n4,[7]\n0,[8]\n1,"[27, 9]"\n2,[9]\n3,[8]\n',
    "user_features.csv": "user_id,degree,fans_user_num\n12,full,0\n10,high,3\n11,full,\n13,,1\n",
}


def write(folder, **changed):
    """The files of FILES in `folder`; changed: file name up to its first dot -> other contents."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in FILES.items():
        content = changed.get(name.split(".")[0], text).encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder
